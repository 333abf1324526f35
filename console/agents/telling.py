"""OpenAI's clients, overheard: what an answer says of its usage and when its first words came, which AutoGen drops.

AutoGen hands on two figures of the usage, and trips over one that is no number. So its client is given an openai client of
ours, which looks at each answer (of a stream: at each chunk) that the openai package has parsed, on its way to AutoGen.
What is overheard goes to the ``Heard`` of the call's context, as one client serves many calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from openai import AsyncAzureOpenAI, AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

Chunk = TypeVar("Chunk")


@dataclass(slots=True)
class Heard:
    """Of one try. ``listened``: an answer has come by; ``usage`` is as the provider put it, or None."""

    clock: Callable[[], datetime]
    listened: bool = False
    usage: Any = None
    first_token_at: datetime | None = None


_heard: ContextVar[Heard | None] = ContextVar("sayso_heard", default=None)


@contextmanager
def listening(clock: Callable[[], datetime]) -> Iterator[Heard]:
    """What is heard of the calls of this context."""
    heard = Heard(clock)
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


class OverheardStream(AsyncStream[Chunk]):
    """A stream whose chunks are looked at as they come by."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._heard = _heard.get()  # chunks may be fetched from another context

    async def __anext__(self) -> Chunk:
        return self._overhear(await super().__anext__())

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        async for chunk in super().__aiter__():
            yield self._overhear(chunk)

    def _overhear(self, chunk: Chunk) -> Chunk:
        heard = self._heard
        if heard is not None and isinstance(chunk, ChatCompletionChunk):
            heard.listened = True
            _take_usage(heard, chunk)
            if heard.first_token_at is None and _says_something(chunk):
                heard.first_token_at = heard.clock()
        return chunk


class OpenAI(AsyncOpenAI):
    """The openai client that is overheard."""

    async def post(self, path: str, **given: Any) -> Any:  # type: ignore[override]
        """As ever: a parsed answer, or a stream of its chunks."""
        return _overheard(await super().post(path, **_on_a_stream(given)))


class AzureOpenAI(AsyncAzureOpenAI):
    """The same for Azure."""

    async def post(self, path: str, **given: Any) -> Any:  # type: ignore[override]
        """As ever: a parsed answer, or a stream of its chunks."""
        return _overheard(await super().post(path, **_on_a_stream(given)))


def _on_a_stream(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "stream_cls": OverheardStream[ChatCompletionChunk]} if given.get("stream") else given


def _overheard(answer: Any) -> Any:
    heard = _heard.get()
    if heard is not None and isinstance(answer, ChatCompletion):
        heard.listened = True
        _take_usage(heard, answer)
    return answer


def _take_usage(heard: Heard, answer: Any) -> None:
    """Keep it, and from AutoGen, which would add up whatever it is; the last word of a stream counts."""
    if answer.usage is not None:
        heard.usage, answer.usage = answer.usage, None


def _says_something(chunk: ChatCompletionChunk) -> bool:
    for choice in chunk.choices or ():
        delta = choice.delta
        if delta is not None and (
            delta.content or delta.tool_calls or (delta.model_extra or {}).get("reasoning_content")
        ):
            return True
    return False
