"""How a worker takes wake-ups: where they are read, without a task's way through the pool.

A wake-up says "look at this run", and what is done with it is one call that hands it to the loop. Celery makes a request
of each message, hands it to a thread and follows it there with signals and states, for work that may take long and fail:
some ten times what the wake-up itself takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default
from structlog.contextvars import bound_contextvars

from console import broker, hops

log = logging.getLogger(__name__)


def correlated(headers: Mapping[str, Any]) -> dict[str, str]:
    """What is logged while a message is handled: the id of the HTTP request that it came of, where it did."""
    told = headers.get("request_id")
    return {"request_id": told} if isinstance(told, str) else {}


def straight(task: Any, app: Any, consumer: Any) -> Callable[..., Any]:
    """A strategy for Celery: a task that never blocks runs on the consumer's thread, acknowledged before it does.

    The task is given ``looked`` beside what was sent, to be called once when the next message may be read for it. What has
    a time at which it begins or expires goes the usual way.
    """
    usual = default(task, app, consumer)
    if consumer.hub is not None:
        broker.tap.wakes(consumer.hub)

    def take(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> Any:
        if body is not None or message.headers.get("eta") or message.headers.get("expires"):
            return usual(message, body, ack, reject, callbacks, **more)
        try:
            arguments, named, _ = message.payload
        except (TypeError, ValueError) as error:
            raise InvalidTaskError(f"{task.name} is sent as [arguments, named arguments, embedded]") from error
        ack(log, consumer.connection_errors)
        run_id = str(arguments[0]) if isinstance(arguments, list) and arguments else ""
        with bound_contextvars(**correlated(message.headers)):
            broker.tap.begin()
            try:
                with hops.taken(message, run_id):
                    task.run(*arguments, **named, looked=broker.tap.end)
            except Exception:  # out of here it would stop the consumer
                broker.tap.end()
                log.exception("%s failed with %r", task.name, arguments)
        return None

    return take
