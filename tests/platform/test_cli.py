"""Commands of an instance that is not running: a line that says so, and what to do."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError

from console.up import cli, instance


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of an instance that was stopped."""
    (tmp_path / "lock").write_text("1")
    instance.save(tmp_path, {"env": {"SAYSO_TEST_NAMED": "yes"}})
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, data: Path) -> list[list[str]]:
    """The commands that got as far as Django, which finds no database."""
    found: list[list[str]] = []

    def away(arguments: list[str]) -> None:
        found.append(arguments)
        raise OperationalError("connection is bad: no such file\nIs the server running?")

    monkeypatch.setattr(cli, "execute_from_command_line", away)
    monkeypatch.setattr(cli, "OWN", data)
    for name in ("DATABASE_URL", "DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAYSO_TEST_NAMED", "")
    return found


def test_a_command_of_an_instance_that_was_stopped_says_how_to_start_it(
    data: Path, asked: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["demo", "--json"]) == 2
    assert asked == [["manage.py", "demo", "--json"]]
    assert capsys.readouterr().err == f"Sayso: the instance in {data} is not running: start it with `manage.py up`\n"
    monkeypatch.setattr(cli, "OWN", data / "elsewhere")
    assert cli.main(["demo", "--data", str(data)]) == 2
    assert capsys.readouterr().err.endswith(f"start it with `manage.py up --data {data}`\n")


def test_one_that_runs_without_its_database_sends_to_the_doctor(
    data: Path, asked: list[list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(data / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cli.main(["verify_runs"]) == 2
    said = (
        "Sayso: the database does not answer: connection is bad: no such file; `manage.py doctor` looks at everything\n"
    )
    assert capsys.readouterr().err == said
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert cli.main(["verify_runs"]) == 2
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("fault", [ProgrammingError("no such table"), DatabaseError("a fault"), ValueError("ours")])
def test_a_fault_is_no_outage(asked: list[list[str]], fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(arguments: list[str]) -> None:
        raise fault

    monkeypatch.setattr(cli, "execute_from_command_line", fails)
    with pytest.raises(type(fault), match=str(fault)):
        cli.main(["verify_runs"])


def test_a_benchmark_takes_the_instance_only_while_it_runs(data: Path, asked: list[list[str]]) -> None:
    assert cli._choose_instance("bench", ["cycles"]) == (["cycles"], None)
    assert cli._choose_instance("demo", []) == ([], data)
    with open(data / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cli._choose_instance("bench", ["cycles"]) == (["cycles"], data)
    (data / "lock").unlink()
    assert cli._choose_instance("bench", ["cycles"]) == (["cycles"], None)
