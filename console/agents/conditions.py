"""The wrapped termination conditions: they do not hear reviewers, they say why a team ended, and keep its time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from autogen_agentchat.base import TerminatedException, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, StopMessage
from autogen_core import Component, ComponentModel
from pydantic import BaseModel

from console.agents.oversight import without_reviewers
from console.agents.room import here


class WatchedConfig(BaseModel):
    """A condition, and what it means when it ends the team: "completed", the stop reason of a guard, or nothing."""

    condition: ComponentModel
    meaning: str


class Watched(TerminationCondition, Component[WatchedConfig]):
    """Stands for one of AutoGen's conditions."""

    component_type = "termination"
    component_config_schema = WatchedConfig
    component_provider_override = "console.agents.conditions.Watched"

    def __init__(self, condition: TerminationCondition, config: WatchedConfig) -> None:
        self._room = here()
        self._condition = condition
        self._config = config

    @classmethod
    def _from_config(cls, config: WatchedConfig) -> Watched:
        return cls(TerminationCondition.load_component(config.condition), config)

    def _to_config(self) -> WatchedConfig:
        return self._config

    @property
    def terminated(self) -> bool:
        """Whether it has been met."""
        return self._condition.terminated

    async def __call__(self, messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> StopMessage | None:
        """Judge the team's own words."""
        heard = without_reviewers(messages) if self._room.spoken else messages
        stop = await self._condition(heard)
        if stop is not None and self._config.meaning:
            self._room.fired.append(self._config.meaning)
        return stop

    async def reset(self) -> None:
        """Start anew."""
        await self._condition.reset()


class RunClockConfig(BaseModel):
    """A time limit in seconds of the run's own clock."""

    timeout_seconds: float


class RunClock(TerminationCondition, Component[RunClockConfig]):
    """Stands for TimeoutTermination, by the run's clock: it stands still while a person thinks."""

    component_type = "termination"
    component_config_schema = RunClockConfig
    component_provider_override = "console.agents.conditions.RunClock"

    def __init__(self, timeout_seconds: float) -> None:
        self._room = here()
        self._seconds = timeout_seconds
        self._start: datetime = self._room.run.now()
        self._terminated = False

    @classmethod
    def _from_config(cls, config: RunClockConfig) -> RunClock:
        return cls(config.timeout_seconds)

    def _to_config(self) -> RunClockConfig:
        return RunClockConfig(timeout_seconds=self._seconds)

    @property
    def terminated(self) -> bool:
        """Whether the time is up."""
        return self._terminated

    async def __call__(self, messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> StopMessage | None:
        """Look at the clock."""
        if self._terminated:
            raise TerminatedException("Termination condition has already been reached")
        if (self._room.run.now() - self._start).total_seconds() < self._seconds:
            return None
        self._terminated = True
        return StopMessage(content=f"Timeout of {self._seconds} seconds reached", source="TimeoutTermination")

    async def reset(self) -> None:
        """Start the clock anew."""
        self._start = self._room.run.now()
        self._terminated = False
