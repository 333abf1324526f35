"""What became of one attempt to hand a notice over."""

from __future__ import annotations

from dataclasses import dataclass

EXCERPT = 500  # characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is HTTP's, where there was one; ``said`` an excerpt of the answer, or what went wrong, without secrets.
    ``after`` (seconds): not to be tried again earlier."""

    ok: bool
    status: int | None = None
    said: str = ""
    after: float = 0.0

    @property
    def gone(self) -> bool:
        """The receiver wants nothing more from us, ever."""
        return self.status == 410
