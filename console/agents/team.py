"""``run_team``: a revision's team, from its document to its result, as the main coroutine of a run."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from autogen_agentchat.base import TaskResult, Team
from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    StopMessage,
    TextMessage,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
)

from console.agents import anatomy, providers, quiet, rewrite, wire
from console.agents.limits import Limits
from console.agents.oversight import NOTE, Oversight, note, rejection
from console.agents.room import Environment, Pace, Room, enter
from console.agents.tools import clip, misfit, validator
from console.durable.run import Run
from console.durable.steps import Gate, Json

log = logging.getLogger(__name__)

# How AutoGen's teams begin to say that max_turns was reached.
COUNTED = ("Maximum number of turns", "Max rounds reached")

quiet.hush()


async def run_team(
    run: Run,
    *,
    body: Mapping[str, Any],
    task: Json,
    environment: Environment,
    emit: Callable[[dict[str, Any]], None],
    pace: Pace | None = None,
) -> Json:
    """Run the team of a revision's normalised ``body`` on ``task`` (a text, or JSON that is given to it as text).

    Returns ``{"result", "stop_reason", "stop_detail"}``. ``emit`` gets every message in order, the same list at each
    replay. Ends the run itself (and does not return) with budget, model_error, timeout, rejected and
    contract_violation. Raises ValueError when the body makes no sense, KeyError for a tool that is gone.
    """
    room, team = rebuilt(run, body, environment, pace)
    run.afterwards(functools.partial(quiet.dismantle, team))
    return await _Show(room, team, body["team"], body.get("output_contract"), emit).play(task)


def rebuilt(run: Run, body: Mapping[str, Any], environment: Environment, pace: Pace | None = None) -> tuple[Room, Team]:
    """The wrapped team of a revision's normalised ``body``, put together anew, and the room it works in.

    The calling context enters the room. Raises what ``run_team`` raises for a body that makes no sense.
    """
    recipe = _Recipe(body["team"], Limits.of(body), Oversight.of(body), body.get("filters"))
    reviewer, wrapped = _wrapped(recipe)
    room = Room(run, environment, recipe.limits, recipe.oversight, pace or Pace(), reviewer)
    enter(room)
    return room, Team.load_component(wrapped)


@dataclass(frozen=True, eq=False)
class _Recipe:
    """What a wrapped document is made of. A document is itself, not its equal: a revision's never changes."""

    document: Mapping[str, Any]
    limits: Limits
    oversight: Oversight
    filters: rewrite.Filters | None

    def __hash__(self) -> int:
        return hash((id(self.document), self.limits))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Recipe) or self.document is not other.document:
            return False
        return (self.limits, self.oversight, self.filters) == (other.limits, other.oversight, other.filters)


@lru_cache(maxsize=128)
def _wrapped(recipe: _Recipe) -> tuple[str, rewrite.Node]:
    """The name under which a reviewer speaks to the team, and its wrapped document, which is only read.

    Kept for the next resume: a worker keeps the revision too, and making it takes a fifth of a rebuild.
    """
    names = anatomy.voices(recipe.document)
    reviewer = "reviewer"
    while reviewer in names:
        reviewer += "_"
    return reviewer, rewrite.wrapped(recipe.document, recipe.limits, recipe.oversight, recipe.filters, reviewer)


class _Show:
    """One team, played until its result counts."""

    def __init__(
        self,
        room: Room,
        team: Team,
        document: Mapping[str, Any],
        contract: Mapping[str, Any] | None,
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        self._room = room
        self._team = team
        self._document = document
        self._contract = contract
        self._emit = emit
        self._index = 0

    async def play(self, task: Json) -> Json:
        given = task if isinstance(task, str) else json.dumps(task, ensure_ascii=False)
        message = TextMessage(source="user", content=given)
        rejected = 0
        while True:
            self._room.fired.clear()
            outcome = await self._once(message)
            reason, detail = self._reason(outcome), outcome.stop_reason or ""
            if reason != "completed":
                return {"result": None, "stop_reason": reason, "stop_detail": detail}
            text = _last_words(outcome)
            if not self._room.oversight.reviews_result:
                return await self._finish(text, detail)
            request = {"result": text, "stop_detail": detail}
            fault = self._fault(text)[1]
            if fault:
                request["fault"] = fault
            decision = await self._room.run.gate("team/final", Gate("final", request))
            if decision.verdict == "edit" and decision.answer is not None:
                return await self._finish(decision.answer, detail)
            if decision.verdict not in ("reject", "deny"):
                return await self._finish(text, detail)
            rejected += 1
            graph = providers.TEAMS[self._document["provider"]] == "GraphFlow"
            if graph or rejected > self._room.oversight.max_reviews:
                await self._room.run.stop("rejected", decision.reason or "The result was rejected.")
            self._room.spoken = True
            text = f"{rejection('the result', decision)} Please go on, and do better."
            message = note(self._room.reviewer, text)

    async def _once(self, message: TextMessage) -> TaskResult:
        try:
            async for item in self._team.run_stream(task=message):
                if isinstance(item, TaskResult):
                    return item
                if not isinstance(item, ModelClientStreamingChunkEvent | StopMessage):
                    self._tell(item)
        except Exception as error:
            # A fault inside a team that the model's answer led to: an answer that does not fit its format, a speaker
            # that does not exist. AutoGen hands over a traceback as text; people get its first line.
            log.warning("the team of run %s failed", self._room.run.run_id, exc_info=error)
            await self._room.run.stop("model_error", f"The team could not go on: {_first_line(error)}")
        raise AssertionError("a team ended without a result")

    def _tell(self, message: BaseAgentEvent | BaseChatMessage) -> None:
        if isinstance(message, BaseChatMessage):
            self._room.said(message.source)
        usage = message.models_usage
        told: dict[str, Any] = {
            "index": self._index,
            "source": message.source,
            "type": type(message).__name__.partition("[")[0],  # StructuredMessage[Report] is a class of its own
            "content": _content(message),
            "at": self._room.run.at.isoformat(),
            "models_usage": None
            if usage is None
            else {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
        }
        if isinstance(message, HandoffMessage):
            told["target"] = message.target
        if message.metadata.get("sayso") == NOTE["sayso"]:
            told["note"] = True
        self._index += 1
        self._emit(told)

    def _reason(self, outcome: TaskResult) -> str:
        fired = self._room.fired
        if not fired and (outcome.stop_reason or "").startswith(COUNTED):
            own = self._document["config"].get("max_turns")
            ended = own is not None and own <= self._room.limits.max_turns
            # A team that only counts its turns ends by counting them; for any other it is a limit.
            return "completed" if ended and not rewrite.has_end_of_its_own(self._document) else "max_turns"
        return "completed" if not fired or "completed" in fired else fired[0]

    def _fault(self, text: str) -> tuple[Json, str | None]:
        """The result as the contract means it, and what is wrong with it."""
        if self._contract is None:
            return text, None
        try:
            value: Json = json.loads(text)
        except ValueError:
            value = text
        return value, misfit(validator(self._contract), value)

    async def _finish(self, text: str, detail: str) -> Json:
        value, fault = self._fault(text)
        if fault:
            await self._room.run.stop("contract_violation", f"The result does not fit its contract: {fault}")
        return {"result": value, "stop_reason": "completed", "stop_detail": detail}


def _last_words(outcome: TaskResult) -> str:
    """The text of the last message that is somebody's."""
    for message in reversed(outcome.messages):
        if isinstance(message, BaseChatMessage) and not isinstance(message, StopMessage):
            return message.to_text()
    return ""


def _content(message: BaseAgentEvent | BaseChatMessage) -> Json:
    if isinstance(message, ToolCallRequestEvent):
        return [wire.plain_call(call) for call in message.content]
    if isinstance(message, ToolCallExecutionEvent):
        return [
            {"name": r.name, "call_id": r.call_id, "content": r.content, "is_error": bool(r.is_error)}
            for r in message.content
        ]
    content = getattr(message, "content", None)
    return content if isinstance(content, str) else message.to_text()


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n", 1)[0]
    return clip(text or f"{type(error).__name__} in AutoGen", 500)
