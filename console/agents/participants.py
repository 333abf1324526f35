"""The wrapped participants: a person who is asked, and an agent whose messages a person sees first."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    BaseTextChatMessage,
    HandoffMessage,
    TextMessage,
)
from autogen_core import CancellationToken, Component, ComponentModel
from pydantic import BaseModel

from console.agents.oversight import note, quote, rejection
from console.agents.room import here
from console.durable.steps import Decision, Gate


class PersonConfig(BaseModel):
    """A person on the team, under the name that the team knows."""

    name: str
    description: str = "A human user"
    path: str = ""  # see rewrite.py


class Person(BaseChatAgent, Component[PersonConfig]):
    """Stands for a UserProxyAgent, or for somebody outside a Swarm to whom an agent hands over: asks a question."""

    component_type = "agent"
    component_config_schema = PersonConfig
    component_provider_override = "console.agents.participants.Person"

    def __init__(self, config: PersonConfig) -> None:
        super().__init__(config.name, config.description)
        self._room = here()
        self._config = config

    @classmethod
    def _from_config(cls, config: PersonConfig) -> Person:
        return cls(config)

    def _to_config(self) -> PersonConfig:
        return self._config

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """What the answer may be."""
        return (TextMessage, HandoffMessage)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        """Ask, and answer with what the person said: as a handoff back when the question came by one."""
        last = messages[-1] if messages else None
        decision = await ask(self._config.path + self.name, self.name, self.name, last)
        said = spoken(decision)
        if isinstance(last, HandoffMessage) and last.target == self.name:
            return Response(chat_message=HandoffMessage(source=self.name, target=last.source, content=said))
        return Response(chat_message=TextMessage(source=self.name, content=said))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Nothing to forget."""


class AttendedConfig(BaseModel):
    """An agent, whether its messages are reviewed, and the names in its team (other handoffs are questions)."""

    agent: ComponentModel
    review: bool
    insiders: list[str]
    path: str = ""  # see rewrite.py


class Attended(BaseChatAgent, Component[AttendedConfig]):
    """An agent with a person at its side.

    Reviews each of its messages before the others see it, where the oversight says so; and turns a handoff to
    somebody outside the team into a question whose answer the agent goes on with, in the same turn.
    """

    component_type = "agent"
    component_config_schema = AttendedConfig
    component_provider_override = "console.agents.participants.Attended"

    def __init__(self, agent: ChatAgent, review: bool, insiders: Sequence[str], config: AttendedConfig) -> None:
        super().__init__(agent.name, agent.description)
        self._room = here()
        self._agent = agent
        self._review = review
        self._insiders = frozenset(insiders)
        self._config = config
        self._changed: TextMessage | None = None  # tells the agent, at its next turn, what became of its last message

    @classmethod
    def _from_config(cls, config: AttendedConfig) -> Attended:
        agent: ChatAgent = ChatAgent.load_component(config.agent)
        return cls(agent, config.review, config.insiders, config)

    def _to_config(self) -> AttendedConfig:
        return self._config

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """The agent's own; an edited message may become plain text, which every team takes."""
        return self._agent.produced_message_types

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        """Drain the stream."""
        async for item in self.on_messages_stream(messages, cancellation_token):
            if isinstance(item, Response):
                return item
        raise AssertionError("an agent ended its turn without a response")

    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | Response, None]:
        """The agent's turn, until it has a message that may be passed on."""
        pending: list[BaseChatMessage] = [*([self._changed] if self._changed else []), *messages]
        self._changed = None
        rejected = 0
        while True:
            response: Response | None = None
            async for item in self._agent.on_messages_stream(pending, cancellation_token):
                if isinstance(item, Response):
                    response = item
                else:
                    yield item
            if response is None:
                raise RuntimeError(f"{self.name} ended its turn without a response")
            message = response.chat_message
            if isinstance(message, HandoffMessage) and message.target not in self._insiders:
                scope = f"{self._config.path}{self.name}/{message.target}"
                decision = await ask(scope, message.target, self.name, message)
                # Observers see both; the team does not, so that no termination condition takes it for an end.
                yield message
                answer = HandoffMessage(source=message.target, target=self.name, content=spoken(decision))
                yield answer
                pending = [answer]
                continue
            if not self._review:
                yield response
                return
            verdict = await self._show(message)
            if verdict.verdict == "edit" and verdict.answer is not None:
                response.chat_message = self._edited(message, verdict.answer)
            elif verdict.verdict in ("reject", "deny"):
                rejected += 1
                if rejected > self._room.oversight.max_reviews:
                    await self._room.run.stop(
                        "rejected", f"{rejected} messages of {self.name} in a row were rejected: {verdict.reason}"
                    )
                self._room.spoken = True
                text = f"{rejection('your last message', verdict)} Nobody else has seen it. Please answer again."
                pending = [note(self._room.reviewer, text)]
                continue
            yield response
            return

    async def _show(self, message: BaseChatMessage) -> Decision:
        text = message.to_text()
        request = {"content": text, "type": type(message).__name__.partition("[")[0], "source": self.name}
        if isinstance(message, HandoffMessage):
            request["target"] = message.target
        scope = self._room.scope(f"{self._config.path}{self.name}/message")
        return await self._room.run.gate(scope, Gate("message", request, agent=self.name))

    def _edited(self, message: BaseChatMessage, answer: str) -> BaseChatMessage:
        self._room.spoken = True
        text = "A person changed your last message before the others saw it. They read:"
        self._changed = note(self._room.reviewer, f"{text} {quote(answer)}")
        if isinstance(message, BaseTextChatMessage):
            return message.model_copy(update={"content": answer})
        return TextMessage(source=self.name, content=answer, models_usage=message.models_usage)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Reset the agent."""
        self._changed = None
        await self._agent.on_reset(cancellation_token)


async def ask(scope: str, person: str, agent: str, about: BaseChatMessage | None) -> Decision:
    """Put the last message as a question to a person, and wait for the answer."""
    request: dict[str, Any] = {
        "question": about.to_text() if about is not None else "The team waits for your input.",
        "from": about.source if about is not None else "",
        "to": person,
    }
    room = here()
    return await room.run.gate(room.scope(scope), Gate("question", request, agent=agent))


def spoken(decision: Decision) -> str:
    """What a person answered; a policy may have kept the question from them."""
    if decision.answer is not None:
        return decision.answer
    here().spoken = True
    why = f" {quote(decision.reason)}" if decision.reason else ""
    return f"Nobody answered the question.{why}"
