"""What the API takes and gives of runs: the shapes of its bodies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Path, Schema
from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from console.runs import topics
from console.workflows import subscriptions

Json = Any


class StartIn(Schema):
    """What starts a run. ``input`` is text or a JSON object, at most 64 kB."""

    model_config = ConfigDict(extra="forbid")

    workflow: str
    input: Json
    topic_source: Annotated[str, Field(max_length=200)] = ""
    metadata: dict[str, Json] | None = None


def _fits(fault: Callable[[Any], str | None]) -> AfterValidator:
    """A check that says what ``fault`` says, beside the faults of the other fields."""

    def check(value: Json) -> Json:
        said = fault(value)
        if said:
            raise PydanticCustomError("unfit", "{said}", {"said": said})
        return value

    return AfterValidator(check)


TopicType = Annotated[
    str,
    Path(description="The topic's type; its source is in the body"),
    _fits(subscriptions.type_fault),
]


class EventIn(Schema):
    """``data`` is text or a JSON object, at most 64 kB: the input of every run that the event starts."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=topics.LONGEST)]
    source: Annotated[str, Field(min_length=1, max_length=topics.LONGEST)]
    data: Annotated[Json, _fits(topics.data_fault)]


class StartedOut(Schema):
    id: str
    workflow: str


class RefusedOut(Schema):
    workflow: str
    message: str


class PublishedOut(Schema):
    """``refused`` are subscribed workflows whose input_schema does not take the data."""

    runs: list[StartedOut]
    refused: list[RefusedOut]


class UsageOut(Schema):
    input_tokens: int
    output_tokens: int


class TimingsOut(Schema):
    """Seconds: waiting for a worker, in models, in tools, for a person, and until workers that took the run up again had
    handed its record back."""

    queue_s: float
    model_s: float
    tool_s: float
    waiting_s: float
    resume_s: float


class HeardOut(Schema):
    """What came in too late to be recorded: done, failed, or in_doubt where even then no answer came."""

    status: str
    at: datetime | None
    result: Json = None
    error: Json = None


class EffectOut(Schema):
    """A call that is more than reading, or would have been one. ``why`` says how that is known."""

    seq: int
    scope: str
    index: int
    tool: str
    agent: str
    key: str
    why: str
    began_at: datetime
    heard: HeardOut | None


class EffectsOut(Schema):
    """What the run has done to the world."""

    done: list[EffectOut]
    may_have_happened: list[EffectOut]
    failed: list[EffectOut]
    not_done: list[EffectOut]


class RunOut(Schema):
    """``cost`` is US dollars as a decimal text; null when ``unpriced_steps`` of it have no known price. ``effects`` are
    told of one run, and not in lists.

    ``smoke_test`` is the id of the test that the run is part of: in it no tool does anything. Lists leave such runs out.
    A run with ``fork_of`` began with the record of that run before its step ``forked_at``; ``fork_edited`` was edited.
    """

    id: str
    workflow: str
    revision: int
    title: str
    status: str
    stop_reason: str | None
    stop_detail: str
    result: Json = None
    hidden: str = ""
    usage: UsageOut
    cost: str | None
    unpriced_steps: int
    timings: TimingsOut
    topic_source: str
    metadata: dict[str, Json]
    started_by: str
    retry_of: str | None
    fork_of: str | None
    forked_at: int | None
    fork_edited: Literal["input", "answer"] | None
    smoke_test: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    effects: EffectsOut | None = None


class RunsOut(Schema):
    items: list[RunOut]
    next: str | None


class MessageOut(Schema):
    source: str
    index: int
    type: str
    content: Json = None
    at: str | None


class MessagesOut(Schema):
    items: list[MessageOut]
    next: str | None


class StepOut(Schema):
    """``index`` counts the effects of a scope; ``seq`` orders all steps of the run. ``hidden`` says why ``request``,
    ``result`` and ``error`` are null where the organisation shows them to others only.

    ``usage`` of a model call: input_tokens (of them cached_tokens) and output_tokens (of them reasoning_tokens), as its
    provider told them; with ``missing`` where it did not, or said what cannot be, and ``reckoned``, what limits count
    instead. ``cost`` is by the prices that ``priced_by`` names; null where nobody knows it. ``first_token_at`` is when
    the first words came, where the answer was streamed.
    """

    scope: str
    index: int
    seq: int
    kind: str
    status: str
    name: str
    agent: str
    digest: str
    request: Json = None
    result: Json = None
    error: Json = None
    hidden: str = ""
    verdict: Json = None
    attempts: list[Json]
    usage: Json = None
    cost: str | None
    priced_by: str
    inherited: bool
    started_at: datetime
    first_token_at: datetime | None
    ended_at: datetime | None


class StepsOut(Schema):
    items: list[StepOut]
    next: str | None
