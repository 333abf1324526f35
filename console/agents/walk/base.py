"""What every part of the walk needs: findings, the look at one component, and AutoGen's own schemas."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from console.agents import providers
from console.agents.tools import ToolSpec, clip

Node = dict[str, Any]
CODE = "Functions in a document are code, and code is not run."


@dataclass(frozen=True)
class Finding:
    """One thing about a document that somebody should know. An error keeps it from being used."""

    path: str
    message: str
    level: Literal["error", "info"] = "error"


class Base(ABC):
    """One walk over a document: findings on the way, the normalised node as the result (None for a hopeless one).

    ``mapping`` is the revision's: names of the document to names of the catalogue (of an MCP server: to the server's).
    """

    def __init__(self, mapping: Mapping[str, str], catalogue: Mapping[str, ToolSpec]) -> None:
        self._mapping = mapping
        self._tools = {name: catalogue[target] for name, target in mapping.items() if target in catalogue}
        self._catalogue = catalogue
        self.findings: list[Finding] = []
        self.used: set[str] = set()  # names of the document that a mapping was there for
        self.unmapped: dict[str, str] = {}  # names that need one, and the path of the first place that does
        self.agents = 0

    @abstractmethod
    def team(self, node: Any, path: str, depth: int = 0) -> Node | None:
        """A team, with everything in it."""

    @abstractmethod
    def agent(self, node: Any, path: str, depth: int = 0) -> Node | None:
        """An agent, with everything in it."""

    def say(self, path: str, message: str, level: Literal["error", "info"] = "error") -> None:
        """Note a finding."""
        self.findings.append(Finding(path, message, level))

    def _component(self, node: Any, path: str, allowed: Mapping[str, str], what: str) -> tuple[str, Node] | None:
        if not isinstance(node, dict):
            self.say(path, f"This should be {what}, as an object with provider and config.")
            return None
        provider, config = node.get("provider"), node.get("config")
        if not isinstance(provider, str) or not provider:
            self.say(f"{path}.provider", f"The provider is missing: the class of {what}.")
            return None
        kind = allowed.get(provider)
        if kind is None:
            self.say(f"{path}.provider", providers.why_not(provider, what))
            return None
        if not isinstance(config, dict):
            self.say(f"{path}.config", "The configuration is missing.")
            return None
        return kind, config

    def _name(self, config: Node, path: str, what: str) -> str | None:
        name = config.get("name")
        if not isinstance(name, str) or not name.isidentifier() or name in providers.RESERVED or len(name) > 64:
            self.say(f"{path}.config.name", f"The name of {what} is a word of letters, digits and underscores.")
            return None
        return name

    def _list(self, config: Node, name: str, path: str, *, required: bool = False) -> list[Any]:
        value = config.get(name)
        if value is None and not required:
            return []
        if not isinstance(value, list) or (required and not value):
            self.say(f"{path}.{name}", "This should be a list" + (" with something in it." if required else "."))
            return []
        return value

    def _template(self, config: Node, name: str, path: str, fields: tuple[str, ...]) -> None:
        text = config.get(name)
        if not isinstance(text, str):
            return
        try:
            named = {field for _, field, spec, _ in string.Formatter().parse(text) if field is not None or spec}
        except ValueError as error:
            self.say(f"{path}.{name}", f"{error}.")
            return
        if not named <= set(fields):
            self.say(f"{path}.{name}", f"Only {', '.join('{' + field + '}' for field in fields)} can be filled in.")

    def _schema(self, component: Any, config: Node, path: str) -> Node:
        """The configuration as AutoGen's schema of the class has it, unknown fields left out; {} when it is wrong."""
        schema = cast(type[BaseModel], component.component_config_schema)
        # AutoGen leaves out what is None when it writes, and wants TokenUsageTermination's when it reads.
        config = {**{name: None for name, field in schema.model_fields.items() if _may_be_none(field)}, **config}
        try:
            checked = schema.model_validate(config)
        except ValidationError as error:
            self._told(error, path)
            return {}
        dumped = checked.model_dump(mode="json", exclude_none=True)
        kept = {name: value for name, value in dumped.items() if name in config}
        return {**{name: None for name, field in schema.model_fields.items() if _may_be_none(field)}, **kept}

    def _told(self, error: ValidationError, path: str) -> None:
        for fault in error.errors(include_url=False, include_input=False, include_context=False)[:20]:
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            self.say(path + place, clip(fault["msg"], 300))


def _may_be_none(field: FieldInfo) -> bool:
    """Whether a field has to be there, and may be None."""
    return field.is_required() and type(None) in get_args(field.annotation)


def node(provider: str, component_type: str, config: Node, **more: Any) -> Node:
    """A component document."""
    return {"provider": provider, "component_type": component_type, **more, "config": config}


def plain(kept: Node) -> Node:
    """Nodes that have been checked already, with those that were refused left out of AutoGen's sight."""
    blank = {"provider": "", "config": {}}
    return {k: [v or blank for v in value] if isinstance(value, list) else value or blank for k, value in kept.items()}


def first(error: ValidationError) -> str:
    """The first thing that a schema says against a value."""
    return str(error.errors(include_url=False)[0]["msg"])


def present(config: Node) -> Node:
    """The configuration without what is None, or an empty list."""
    return {name: value for name, value in config.items() if value not in (None, [])}
