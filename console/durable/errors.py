"""What the engine raises, and what bodies raise at it. The tree is drawn in ``console.durable``."""

from __future__ import annotations

from collections.abc import Sequence

from .steps import Json, Kind


class DurableError(Exception):
    """Everything of the engine's own."""


class Fenced(DurableError):
    """The token of this journal is stale: somebody else advances the run now. Ends ``advance`` with ``Lost``."""


class EffectFailed(DurableError):
    """An effect did not work out.

    A body raises it to say how: ``error`` is ``{"type", "message"}``, ``attempts`` the tries that were made, ``usage``
    and ``cost`` what they used, by whose prices ``priced_by``. With ``stop`` (a stop reason) the run ends there; without,
    the team gets the same exception from ``Run.effect``, now and at every replay.
    """

    def __init__(
        self,
        error: Json,
        attempts: Sequence[Json] = (),
        usage: Json = None,
        stop: str | None = None,
        cost: str | None = None,
        priced_by: str = "",
    ) -> None:
        if not isinstance(error, dict):
            error = {"type": "Error", "message": str(error)}
        super().__init__(f"{error.get('type', 'Error')}: {error.get('message', '')}")
        self.error = error
        self.attempts = list(attempts)
        self.usage = usage
        self.stop = stop
        self.cost = cost
        self.priced_by = priced_by
        self.kind: Kind | None = None  # of the step, once the engine has recorded it
        self.step: tuple[str, int] | None = None


class OutcomeUnknown(DurableError):
    """A body raises it when it cannot say whether its effect happened: it was sent off, and no answer came.

    An effect that must not be repeated becomes a question to a person; any other has failed.
    """


class NotInRun(DurableError):
    """``current()`` was called outside a run, or inside the body of an effect."""
