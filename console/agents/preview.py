"""What an agent would be given if it spoke now: a recorded talk through its message filters and its model context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.agents import MessageFilterAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core.model_context import ChatCompletionContext, UnboundedChatCompletionContext
from autogen_core.models import AssistantMessage, SystemMessage

from console.agents import anatomy, providers, wire

Json = Any


async def preview(
    agent: Mapping[str, Any], filters: Sequence[Mapping[str, Any]], talk: Sequence[Mapping[str, str]]
) -> list[dict[str, Json]]:
    """The messages, as the model gets them, each ``{"type", "source", "content"}``.

    ``agent`` is a node of a normalised document, with the message filters it has there; ``filters`` are the revision's.
    ``talk`` are the messages of a run, ``{"source", "content"}``, in order. AutoGen filters what has come since the
    agent's last turn, so the talk is gone through turn by turn.
    """
    core = anatomy.core(agent)
    config, name = core["config"], core["config"]["name"]
    context = _context(config.get("model_context"))
    waiting: list[BaseChatMessage] = []
    for message in talk:
        if message["source"] == name:
            await _hear(context, agent, filters, waiting)
            waiting = []
            await context.add_message(AssistantMessage(content=message["content"], source=name))
        else:
            waiting.append(TextMessage(source=message["source"], content=message["content"]))
    await _hear(context, agent, filters, waiting)
    system = config.get("system_message")
    seen = [SystemMessage(content=system)] if isinstance(system, str) else []
    return [wire.plain_message(one) for one in [*seen, *await context.get_messages()]]


async def _hear(
    context: ChatCompletionContext,
    agent: Mapping[str, Any],
    filters: Sequence[Mapping[str, Any]],
    messages: Sequence[BaseChatMessage],
) -> None:
    """What gets through to the agent joins its context."""
    passed = list(_filtered(filters, messages))
    while providers.AGENTS.get(agent["provider"]) == "MessageFilterAgent":
        passed = list(_filtered(agent["config"]["filter"]["per_source"], passed))
        agent = agent["config"]["wrapped_agent"]
    for message in passed:
        await context.add_message(message.to_model_message())


def _filtered(entries: Sequence[Mapping[str, Any]], messages: Sequence[BaseChatMessage]) -> Sequence[BaseChatMessage]:
    """AutoGen's own filter. It looks at nothing of the agent but the filter."""
    if not entries:
        return messages
    holder: Any = type("Holder", (), {"_filter": MessageFilterConfig.model_validate({"per_source": list(entries)})})()
    return MessageFilterAgent._apply_filter(holder, messages)


def _context(node: Json) -> ChatCompletionContext:
    """The agent's context. One that counts tokens would ask a model client: four characters are taken for a token."""
    if node is None:
        return UnboundedChatCompletionContext()
    if providers.CONTEXTS[node["provider"]] != "TokenLimitedChatCompletionContext":
        return ChatCompletionContext.load_component(dict(node))
    return _Tokens(node["config"].get("token_limit"))


class _Tokens(UnboundedChatCompletionContext):
    """As AutoGen's TokenLimitedChatCompletionContext: what is in the middle goes first."""

    component_provider_override = "console.agents.preview._Tokens"

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self._limit = limit or 128_000

    async def get_messages(self) -> list[Any]:
        messages = list(self._messages)
        while len(messages) > 1 and sum(len(str(one.content)) + 16 for one in messages) // 4 > self._limit:
            messages.pop(len(messages) // 2)
        return messages
