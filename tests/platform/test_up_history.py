"""When `up` makes the demo's history, and when it leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from console.up import history
from console.up.history import History
from console.up.places import Refused


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setattr(history.places, "database_directory", lambda data: data / "postgres")
    monkeypatch.setattr(history.places, "runtime", lambda data: data / "run")
    return History(tmp_path)


@pytest.mark.parametrize(("given", "makes"), [(None, True), ("", True), ("1", True), ("0", False), ("off", False)])
def test_the_environment_may_leave_it_out(monkeypatch: pytest.MonkeyPatch, given: str | None, makes: bool) -> None:
    if given is None:
        monkeypatch.delenv(history.OFF, raising=False)
    else:
        monkeypatch.setenv(history.OFF, given)
    assert history.wanted() is makes


def test_what_never_works_is_not_begun_for_ever(past: History, tmp_path: Path) -> None:
    assert [past._try() for _ in range(7)] == [True] * 5 + [False] * 2
    (tmp_path / "history-tries").write_text("nonsense")
    assert past._try()


def test_a_database_that_is_not_there_is_one_clear_line(past: History) -> None:
    with pytest.raises(Refused, match="the demo's history cannot be made"):
        past.begin()


class Answers:
    """A connection that answers by a word of the statement, and notes what was asked."""

    def __init__(self, **found: Any) -> None:
        self.found, self.asked = found, []

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *about: object) -> None:
        pass

    def execute(self, sql: str) -> Answers:
        self.asked.append(sql)
        self.row = next((row for word, row in self.found.items() if word in sql), None)
        return self

    def fetchone(self) -> Any:
        return self.row


@pytest.mark.parametrize(
    ("found", "copies"),
    [
        ({"pg_database_size": (10,)}, True),
        ({"pg_database_size": (10,), "audit_auditrecord": (1,)}, False),  # it is there already
        ({"pg_database_size": (history.LARGEST + 1,)}, False),  # somebody's real work: not copied behind their back
        ({"pg_database_size": (10,), "pg_stat_activity": (1,)}, False),  # somebody is connected
    ],
)
def test_a_copy_is_taken_where_it_is_wanted_and_holds_up_nobody(
    past: History, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], copies: bool
) -> None:
    answers = Answers(**found)
    monkeypatch.setattr(psycopg, "connect", lambda *args, **more: answers)
    assert past.begin() is copies
    assert any(sql.startswith("CREATE DATABASE") for sql in answers.asked) is copies
