"""A machine's wall clock for tests: it may be ahead, and jump. The database's clock is another machine's."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.utils import timezone

_real, _real_now = datetime, timezone.now


class MachineClock:
    """What every module of the product takes for the time; ``minutes`` is how far ahead it is."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.minutes = 0.0
        clock = self

        class Lookalike(type):
            def __instancecheck__(cls, value: object) -> bool:
                return isinstance(value, _real)

        class Skewed(_real, metaclass=Lookalike):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return _real.now(tz) + clock.ahead

        wall = time.time
        patch.setattr(timezone, "now", lambda: _real_now() + clock.ahead)
        patch.setattr(time, "time", lambda: wall() + clock.ahead.total_seconds())
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] in ("console", "approvals") and getattr(module, "datetime", None) is _real:
                patch.setattr(module, "datetime", Skewed)

    @property
    def ahead(self) -> timedelta:
        return timedelta(minutes=self.minutes)
