"""A team document as stock AutoGen loads it at the least cost: a client that costs nothing, tools that stand ready.

A document names OpenAI's client, and building one takes AutoGen several times as long as the rest of the team. A worker
keeps its clients for all runs, so a baseline that built them would flatter every rebuild: here a client is an empty
object. It is the same with tools: AutoGen compiles the source of each FunctionTool in the document and makes a pydantic
model of its signature, a worker finds its tools in the catalogue. So the document's twin comes in two kinds: with tools
that were made beforehand, the stricter baseline, and with their source, as AutoGen Studio would hand it over.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from autogen_core import CancellationToken, Component
from autogen_core.tools import BaseTool
from pydantic import BaseModel

from console.agents.tools import ToolSpec
from console.bench.scripted import Scripted

Node = dict[str, Any]
Specs = Mapping[str, ToolSpec]

_TYPES = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"}
_IMPORTS = [{"module": "typing", "imports": ["Annotated", "Literal"]}]


class ClientConfig(BaseModel):
    """What a document says about a model."""

    model: str


class Client(Scripted, Component[ClientConfig]):
    """A model client that a document can name."""

    component_config_schema = ClientConfig
    component_provider_override = "console.bench.bare.Client"

    @classmethod
    def _from_config(cls, config: ClientConfig) -> Client:
        return cls()


class ReadyConfig(BaseModel):
    """Which tool, and what the document says of it."""

    name: str
    description: str


class Ready(BaseTool[BaseModel, BaseModel], Component[ReadyConfig]):
    """Hands over a FunctionTool that was made beforehand; is never made itself."""

    component_type = "tool"
    component_config_schema = ReadyConfig
    component_provider_override = "console.bench.bare.Ready"
    made: dict[str, Any] = {}

    @classmethod
    def _from_config(cls, config: ReadyConfig) -> Any:
        return cls.made[config.name]

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> BaseModel:
        raise AssertionError("stands for a tool, and is none")


def twin(document: Any, specs: Specs, *, with_source: bool = False) -> Any:
    """The document with cheap clients and plain tools in the place of its own; ``specs`` are their schemas, by name."""
    if isinstance(document, list):
        return [twin(each, specs, with_source=with_source) for each in document]
    if not isinstance(document, dict):
        return document
    if document.get("component_type") == "model":
        return {**document, "provider": Client.component_provider_override}
    if document.get("component_type") == "tool":
        written = _written(document, specs[document["config"]["name"]])
        return written if with_source else _ready(written)
    return {key: twin(value, specs, with_source=with_source) for key, value in document.items()}


def _written(node: Node, spec: ToolSpec) -> Node:
    """A tool's node with the source of a function that asks for what the catalogue's tool asks for."""
    required = spec.schema.get("required", ())
    fields = sorted(spec.schema["properties"].items(), key=lambda field: field[0] not in required)
    arguments = ", ".join(_argument(name, about, name in required) for name, about in fields)
    source = f"async def {node['config']['name']}({arguments}) -> str:\n    return 'done'\n"
    return {**node, "config": {**node["config"], "source_code": source, "global_imports": _IMPORTS}}


def _argument(name: str, about: Mapping[str, Any], required: bool) -> str:
    kind = f"Literal{about['enum']!r}" if "enum" in about else _TYPES[about["type"]]
    if "description" in about:
        kind = f"Annotated[{kind}, {about['description']!r}]"
    return f"{name}: {kind}" + ("" if required else " = None")


def _ready(written: Node) -> Node:
    """The node of a tool that is made now, once."""
    name, description = written["config"]["name"], written["config"]["description"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that source is executed, which is ours
        Ready.made[name] = BaseTool.load_component(written)
    config = {"name": name, "description": description}
    return {**written, "provider": Ready.component_provider_override, "config": config}
