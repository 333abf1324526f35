"""What a benchmark lends to workers: scripted models for those who name one, and the tools that they call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autogen_core.models import ChatCompletionClient

from console.agents.clients import Clients
from console.bench import scripted
from console.workflows import catalogue

FREE = "bench-calculator"  # the catalogue's, which asks nobody
ASKING = "bench-take-note"  # take_note, which asks a person


class Lending(Clients):
    """The clients of a process, and the scripted ones."""

    def get(self, **place: Any) -> ChatCompletionClient:
        return scripted.named(str(place["config"].get("model", ""))) or super().get(**place)


def register() -> None:
    """Put the tools of the benchmarks into this process's catalogue."""
    own = scripted.specs()
    asking = replace(own["take_note"], name=ASKING, approval="require")
    for spec in (*own.values(), asking, replace(catalogue.CALCULATOR, name=FREE, approval="allow")):
        if not catalogue.has(spec.name):
            catalogue.register(spec)
