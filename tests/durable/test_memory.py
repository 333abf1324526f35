from __future__ import annotations

from collections.abc import Callable

from console.durable import Journal, MemoryStore

from .contract import JournalContract


class TestMemoryJournal(JournalContract):
    def make(self) -> Callable[[], Journal]:
        return MemoryStore().claim
