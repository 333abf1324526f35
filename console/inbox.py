"""How a worker takes wake-ups: where they are read, without a task's way through the pool.

A wake-up says "look at this run", and what is done with it is one call that hands it to the loop. Celery makes a request
of each message, hands it to a thread and follows it there with signals and states, for work that may take long and fail:
some ten times what the wake-up itself takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default

log = logging.getLogger(__name__)


def straight(task: Any, app: Any, consumer: Any) -> Callable[..., Any]:
    """A strategy for Celery: a task that never blocks runs on the consumer's thread, acknowledged before it does.

    What has a time at which it begins or expires goes the usual way.
    """
    usual = default(task, app, consumer)

    def take(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **more: Any) -> Any:
        if body is not None or message.headers.get("eta") or message.headers.get("expires"):
            return usual(message, body, ack, reject, callbacks, **more)
        try:
            arguments, named, _ = message.payload
        except (TypeError, ValueError) as error:
            raise InvalidTaskError(f"{task.name} is sent as [arguments, named arguments, embedded]") from error
        ack(log, consumer.connection_errors)
        try:
            task.run(*arguments, **named)
        except Exception:  # out of here it would stop the consumer
            log.exception("%s failed with %r", task.name, arguments)
        return None

    return take
