"""Wake-ups are taken on the consumer's thread, and nothing that comes in stops it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import InvalidTaskError
from structlog.contextvars import clear_contextvars, get_contextvars

from console import broker, inbox, worker


class Message:
    def __init__(self, payload: Any, **headers: Any) -> None:
        self.payload, self.headers = payload, headers


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(broker, "tap", broker.Tap())
    monkeypatch.setattr(inbox, "default", lambda task, app, consumer: lambda *given, **more: found.append("usual"))
    monkeypatch.setattr(worker, "host", lambda: SimpleNamespace(admit=lambda *given: found.append(given)))
    return found


def take(seen: list[Any], message: Message, body: Any = None) -> None:
    consumer = SimpleNamespace(connection_errors=(OSError,), hub=None)
    strategy = worker.advance_run.start_strategy(None, consumer)
    strategy(message, body, lambda *given: seen.append(("acknowledged", given[1])), None, [])


def test_a_wake_up_is_acknowledged_and_handed_over_at_once(seen: list[Any]) -> None:
    take(seen, Message((["run 1"], {"resume": True}, {})))
    assert seen == [("acknowledged", (OSError,)), ("run 1", True, broker.tap.end)]


def test_no_more_is_read_than_is_looked_into(seen: list[Any]) -> None:
    for number in range(broker.AT_ONCE):
        assert not broker.tap.shut
        take(seen, Message(([f"run {number}"], {}, {})))
    assert broker.tap.shut
    for _, _, looked in seen[1::2][: broker.AT_ONCE // 2]:
        assert broker.tap.shut
        looked()
    assert not broker.tap.shut


@pytest.mark.parametrize("headers", [{"eta": "2026-01-01T00:00:00"}, {"expires": "2026-01-01T00:00:00"}])
def test_what_has_a_time_goes_celerys_way(seen: list[Any], headers: dict[str, str]) -> None:
    take(seen, Message((["run 1"], {}, {}), **headers))
    take(seen, Message({}), {"args": ["run 1"]})
    assert seen == ["usual", "usual"]


@pytest.mark.parametrize("payload", [None, [], ["run 1"], 3, {}])
def test_what_is_no_task_is_refused_as_celery_refuses_it(seen: list[Any], payload: Any) -> None:
    with pytest.raises(InvalidTaskError, match=r"console\.worker\.advance_run is sent as"):
        take(seen, Message(payload))
    assert seen == []


@pytest.mark.parametrize(
    "given", [([], {}), (["run 1"], {"unknown": 1}), (["run 1"], {"looked": 1}), (3, {}), (["run 1"], None)]
)
def test_arguments_that_do_not_fit_are_logged_and_stop_nobody(seen: list[Any], given: Any, caplog: Any) -> None:
    for _ in range(broker.AT_ONCE):
        take(seen, Message((*given, {})))
    assert seen == [("acknowledged", (OSError,))] * broker.AT_ONCE and not broker.tap.shut
    assert "console.worker.advance_run failed" in caplog.text


def test_a_host_that_is_gone_stops_nobody(monkeypatch: pytest.MonkeyPatch, seen: list[Any], caplog: Any) -> None:
    def gone() -> None:
        raise RuntimeError("Event loop is closed")

    monkeypatch.setattr(worker, "host", gone)
    take(seen, Message((["run 1"], {}, {})))
    assert "Event loop is closed" in caplog.text


def test_what_is_logged_meanwhile_names_the_request(monkeypatch: pytest.MonkeyPatch, seen: list[Any]) -> None:
    clear_contextvars()
    known: list[Any] = []
    monkeypatch.setattr(worker, "host", lambda: SimpleNamespace(admit=lambda *_: known.append(get_contextvars())))
    take(seen, Message((["run 1"], {}, {}), request_id="r-1"))
    take(seen, Message((["run 1"], {}, {}), request_id=["r-2"]))
    take(seen, Message((["run 1"], {}, {})))
    assert known == [{"request_id": "r-1"}, {}, {}] and get_contextvars() == {}
