"""The database in which ``bench dashboard`` measures: nobody's figures are touched, and none are lost when it will not go."""

import signal

import psycopg
import pytest
from django.db import connections

from console.bench.dashboard import apart
from console.runs.writer import connect

pytestmark = pytest.mark.django_db(databases=["default", "owner"], transaction=True)


@pytest.fixture
def name(monkeypatch):
    """A name of this test's own, and no migrations; signals as they were."""
    found = f"sayso_apart_{connections['default'].settings_dict['NAME'][-20:]}".lower()
    monkeypatch.setattr(apart, "NAME", found)
    monkeypatch.setattr(apart, "call_command", lambda *_, **__: None)
    monkeypatch.setattr(apart, "AGAIN", 0.0)
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield found
    apart._drop()
    for number, handler in kept.items():
        signal.signal(number, handler)


def _there(name: str) -> bool:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return cursor.fetchone() is not None


def _into(name: str) -> None:
    """Come in as anybody else would."""
    settings = connections["default"].settings_dict
    kept, settings["NAME"] = settings["NAME"], name
    try:
        connect().close()
    finally:
        settings["NAME"] = kept


def _inside() -> str:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return cursor.fetchone()[0]


def test_a_session_that_somebody_forgot_does_not_hold_it(name, capsys):
    before = _inside()
    with apart.database():
        assert _inside() == name
        forgotten = connect()
        assert forgotten.execute("SELECT current_database()").fetchone() == (name,)
    assert _inside() == before and not _there(name)
    with forgotten, pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT 1")
    assert capsys.readouterr().err == ""


def test_what_was_measured_is_kept_when_it_cannot_be_dropped_and_the_next_one_drops_it(name, monkeypatch, capsys):
    ends = apart._end_sessions
    with apart.database():
        monkeypatch.setattr(apart, "PATIENCE", 0.0)
        monkeypatch.setattr(apart, "_end_sessions", lambda alias: None)  # as if it were not ours to end
        stays = connect()
    said = capsys.readouterr().err
    assert f"{name} stays until the next benchmark" in said and "sayso_app" in said and _there(name)
    with pytest.raises(psycopg.OperationalError):
        _into(name)
    monkeypatch.setattr(apart, "_end_sessions", ends)
    with apart.database():
        assert _inside() == name
    with stays, pytest.raises(psycopg.OperationalError):
        stays.execute("SELECT 1")


def test_one_that_is_not_there_is_no_trouble(name):
    apart._drop()
    assert not _there(name)


def test_what_is_pooled_is_of_the_database_that_is_asked(name, capsys, monkeypatch):
    default = connections["default"]
    default.close()
    monkeypatch.setitem(default.settings_dict["OPTIONS"], "pool", {"min_size": 1, "max_size": 2, "timeout": 10})
    try:
        before = _inside()
        with apart.database():
            assert _inside() == name
        assert _inside() == before and not _there(name) and capsys.readouterr().err == ""
    finally:
        default.close()
        default.close_pool()
