"""What environment variables mean."""

import base64

import pytest

from console import environment


def test_a_secret_may_come_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "s").write_text("the secret\n")
    monkeypatch.setenv("X_FILE", str(tmp_path / "s"))
    assert environment.read("X") == "the secret"
    monkeypatch.setenv("X", "other")
    with pytest.raises(ValueError, match="both set"):
        environment.read("X")


def test_a_missing_secret_file_is_named(monkeypatch):
    monkeypatch.setenv("X_FILE", "/nowhere/x")
    with pytest.raises(ValueError, match="X_FILE: cannot read /nowhere/x"):
        environment.read("X")


def test_a_login_that_is_the_role_itself_needs_no_option():
    entry = environment.database("postgresql://sayso_app@/sayso?host=/run/s", "sayso_app")
    assert (entry["NAME"], entry["USER"], entry["HOST"], entry["OPTIONS"]) == ("sayso", "sayso_app", "/run/s", {})


def test_an_outside_login_starts_its_session_in_the_role():
    entry = environment.database("postgres://u%40x:p%2Fw@db:6432/n?sslmode=require", "sayso_app")
    assert (entry["USER"], entry["PASSWORD"], entry["HOST"], entry["PORT"]) == ("u@x", "p/w", "db", "6432")
    assert entry["OPTIONS"] == {"sslmode": "require", "options": "-c role=sayso_app"}


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///x", "nonsense"])
def test_another_database_is_refused(url):
    with pytest.raises(ValueError, match="DATABASE_URL"):
        environment.database(url, "sayso_app")


@pytest.mark.parametrize(
    ("given", "client", "broker"),
    [
        ("redis+socket:///s/v.sock?virtual_host=3", "unix:///s/v.sock?db=3", "redis+socket:///s/v.sock?virtual_host=3"),
        ("unix:///s/v.sock", "unix:///s/v.sock", "redis+socket:///s/v.sock?virtual_host=0"),
        ("redis://h:6379/1", "redis://h:6379/1", "redis://h:6379/1"),
        ("rediss://h/1", "rediss://h/1", "rediss://h/1"),
    ],
)
def test_redis_addresses_in_both_dialects(given, client, broker):
    assert environment.redis_url(given) == client
    assert environment.broker_url(given) == broker


def test_another_broker_is_refused():
    with pytest.raises(ValueError, match="REDIS_URL"):
        environment.redis_url("amqp://x")


def test_a_master_key_has_32_bytes_in_base64_or_hexadecimal():
    key = bytes(range(200, 232))
    for text in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode().rstrip("=")):
        assert environment.master_key(text) == key
    for text in ("", "short", "x" * 64, base64.b64encode(key[:31]).decode()):
        with pytest.raises(ValueError):
            environment.master_key(text)
