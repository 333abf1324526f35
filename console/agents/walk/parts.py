"""The parts of teams and agents that hold no agents themselves: models, contexts, conditions, memories, message types."""

from __future__ import annotations

from typing import Any

from autogen_agentchat import conditions as autogen_conditions
from autogen_agentchat.messages import StructuredMessageFactory
from autogen_core import model_context as autogen_contexts
from autogen_core.memory import ListMemory
from autogen_ext.models.openai import OpenAIChatCompletionClient

from console.agents import clients, providers
from console.agents.tools import clip
from console.agents.walk.base import Base, Node, node, plain

MAX_CONDITIONS_DEPTH = 16
# What says where a model is reached, and as whom: the tenant's credential supplies it.
KEYS = (
    "api_key base_url organization default_headers azure_endpoint azure_deployment azure_ad_token"
    " azure_ad_token_provider api_version"
).split()


class Parts(Base):
    """See the module."""

    def model(self, given: Any, path: str) -> Node | None:
        """A model client: which model, and how it is asked."""
        found = self._component(given, path, providers.MODELS, "a model client")
        if found is None:
            return None
        config = found[1]
        for name in KEYS:
            if config.get(name) is not None:
                self.say(f"{path}.config.{name}", "Left out: the tenant's credential supplies it.", "info")
        if not isinstance(config.get("model"), str) or not config["model"].strip():
            self.say(f"{path}.config.model", "The name of the model is missing.")
        kept = {name: value for name, value in config.items() if name in clients.CREATE_ARGUMENTS and value is not None}
        self._schema(OpenAIChatCompletionClient, {"model": "", **kept}, f"{path}.config")
        kept.pop("stream_options", None)
        return node("autogen_ext.models.openai.OpenAIChatCompletionClient", "model", kept)

    def context(self, given: Any, path: str) -> Node | None:
        """How much of the talk so far a model is given."""
        found = self._component(given, path, providers.CONTEXTS, "a model context")
        if found is None:
            return None
        kind, config = found
        kept: Node = {}
        if kind == "TokenLimitedChatCompletionContext":
            kept["model_client"] = self.model(config.get("model_client"), f"{path}.config.model_client")
        rest = self._schema(getattr(autogen_contexts, kind), {**config, **plain(kept)}, f"{path}.config")
        both = {k: v for k, v in {**rest, **kept}.items() if v is not None}
        return node(f"autogen_core.model_context.{kind}", "chat_completion_context", both)

    def condition(self, given: Any, path: str, depth: int = 0) -> Node | None:
        """A termination condition, or several of them."""
        found = self._component(given, path, providers.CONDITIONS, "a termination condition")
        if found is None:
            return None
        kind, config = found
        if kind in ("AndTerminationCondition", "OrTerminationCondition"):
            if depth >= MAX_CONDITIONS_DEPTH:
                self.say(path, "Conditions are nested too deeply.")
                return None
            inner = self._list(config, "conditions", f"{path}.config", required=True)
            kept = {
                "conditions": [
                    self.condition(c, f"{path}.config.conditions[{i}]", depth + 1) for i, c in enumerate(inner)
                ]
            }
            return node(f"autogen_agentchat.base.{kind}", "termination", kept)
        rest = self._schema(getattr(autogen_conditions, kind), config, f"{path}.config")
        return node(f"autogen_agentchat.conditions.{kind}", "termination", rest)

    def memory(self, given: Any, path: str) -> Node | None:
        """A list of things that an agent is told at each of its turns."""
        found = self._component(given, path, providers.MEMORIES, "a memory")
        if found is None:
            return None
        config = found[1]
        contents = self._list(config, "memory_contents", f"{path}.config")
        for i, entry in enumerate(contents):  # AutoGen would make an image of whatever else it is
            if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
                self.say(f"{path}.config.memory_contents[{i}].content", "A memory is text here.")
                return None
        return node("autogen_core.memory.ListMemory", "memory", self._schema(ListMemory, config, f"{path}.config"))

    def structure(self, given: Any, path: str) -> Node | None:
        """The JSON schema that an agent's answers fit, and how people and other agents read them."""
        allowed = providers.STRUCTURES
        found = self._component(given, path, allowed, "a structured message factory")
        if found is None:
            return None
        config = found[1]
        rest = self._schema(StructuredMessageFactory, config, f"{path}.config")
        if not rest:
            return None
        schema = rest["json_schema"]
        try:
            factory = StructuredMessageFactory.load_component(
                node("autogen_agentchat.messages.StructuredMessageFactory", "structured_message", rest)
            )
        except Exception as error:  # whatever AutoGen makes of a schema that is none
            self.say(f"{path}.config.json_schema", f"AutoGen cannot use this JSON schema: {clip(str(error), 300)}")
            return None
        if schema.get("type") != "object":
            self.say(f"{path}.config.json_schema", "A structured answer is an object.")
        self._template(config, "format_string", f"{path}.config", tuple(factory.ContentModel.model_fields))
        return node("autogen_agentchat.messages.StructuredMessageFactory", "structured_message", rest)
