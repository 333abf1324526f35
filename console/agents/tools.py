"""What a team may do: the tools of a catalogue, as the agents package needs to know them."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.exceptions import Unresolvable as ReferenceFault

from console.durable.steps import Json, Safety

RESULT_LIMIT = 256 * 1024  # bytes of a tool's result that a model, a journal and a reader get
UNPARSABLE = "_unparsable"  # the one argument of a call whose arguments were not JSON: the model's own text

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}

_FIELD = re.compile(r"\{([A-Za-z_][\w.]*)\}")


class Unavailable(Exception):
    """A tool could not be reached, or answered that it is out of order: trying others of its calls makes no sense now."""


class NoAnswer(Unavailable):
    """The call was sent off and no answer came: it may have happened all the same."""


@dataclass(frozen=True)
class ToolSpec:
    """One version of one catalogue tool.

    ``schema`` is the JSON schema of the arguments (an object). ``safety`` says what doing it again would mean, ``risk``
    is low, medium or high, ``approval`` is require, allow or unknown (which means require). ``title`` is a sentence
    for people with ``{argument}`` in it, ``action`` a template that names the deed for idempotency, ``money`` the name
    of an amount among the arguments and its currency ("amount EUR"), ``owner`` who answers for the tool.
    ``call`` gets the arguments and an idempotency key.
    """

    name: str
    version: int
    description: str
    schema: Mapping[str, Any]
    safety: Safety
    call: Callable[[dict[str, Any], str], Awaitable[Json]]
    risk: str = "low"
    approval: str = "unknown"
    title: str = ""
    action: str | None = None
    timeout: timedelta = timedelta(seconds=30)
    money: str | None = None
    owner: str = ""
    _validator: list[Any] = field(default_factory=list, repr=False, compare=False)

    def fault(self, arguments: Json) -> str | None:
        """Why these arguments must not be used, in a sentence, or None when they fit the schema."""
        if not isinstance(arguments, dict):
            return f"The arguments are {_kind(arguments)}, not an object with names."
        if UNPARSABLE in arguments:
            return "The arguments are not valid JSON."
        if not self._validator:
            # Built once a spec: compiling a validator costs more than using it.
            self._validator.append(validator(self.schema))
        return misfit(self._validator[0], arguments)

    def headline(self, arguments: Json) -> str:
        """One line for people that says what would be done."""
        if self.title and isinstance(arguments, dict) and UNPARSABLE not in arguments:
            return _capital(clip(fill(self.title, {**arguments, **self._priced(arguments)}), 200))
        if isinstance(arguments, dict) and UNPARSABLE not in arguments:
            inside = ", ".join(f"{name}={show(value)}" for name, value in arguments.items())
            return clip(f"{self.name}({inside})", 200)
        return f"{self.name} (arguments that cannot be read)"

    def _priced(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """The amount of money among the arguments, as people write it."""
        name, _, currency = (self.money or "").partition(" ")
        value = arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return {}
        sign = SIGNS.get(currency, "")
        return {name: f"{sign}{value:,.2f}" if sign or not currency else f"{value:,.2f} {currency}"}

    def deed(self, arguments: Json) -> str | None:
        """The action's name for idempotency, rendered from the tool's template; None without one."""
        return fill(self.action, arguments) if self.action and isinstance(arguments, dict) else None


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator for a JSON schema that never fetches what the schema refers to."""
    return jsonschema.Draft202012Validator(dict(schema), registry=Registry())


def misfit(checker: Any, value: Json) -> str | None:
    """Why a value does not fit a validator's schema, in a sentence, or None. What cannot be checked does not fit."""
    try:
        error = best_match(checker.iter_errors(value))
    except RecursionError:
        return "It is nested too deeply."
    except (ReferenceFault, jsonschema.exceptions.UnknownType, TypeError, ValueError, re.error) as fault:
        return f"It cannot be checked, the schema is broken: {clip(str(fault), 200)}"
    if error is None:
        return None
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where + ': ' if where else ''}{clip(error.message, 300)}"


def fill(template: str, arguments: Mapping[str, Any]) -> str:
    """Put arguments (``{name}`` or ``{name.inner}``) into a template; what is missing becomes a question mark."""

    def look(match: re.Match[str]) -> str:
        value: Any = arguments
        for part in match[1].split("."):
            if not isinstance(value, Mapping) or part not in value:
                return "?"
            value = value[part]
        return show(value)

    return _FIELD.sub(look, template)


def _capital(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def show(value: Json) -> str:
    """A value as people read it in a line of text."""
    if isinstance(value, str):
        return clip(value, 80)
    return clip(json.dumps(value, ensure_ascii=False, default=str), 80)


def clip(text: str, length: int) -> str:
    """At most ``length`` characters, with an ellipsis for the rest."""
    return text if len(text) <= length else text[: length - 1] + "…"


def as_text(value: Json) -> str:
    """A tool's result as the model reads it."""
    return writable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def writable(text: str) -> str:
    """The text without halves of surrogate pairs: JSON lets them in, and nothing else can write them."""
    return text.encode("utf-8", "replace").decode()


def within_limit(value: Json) -> Json:
    """The value itself, or its beginning and a note when it is too long to keep."""
    text = as_text(value)
    raw = text.encode()
    if len(raw) <= RESULT_LIMIT and len(json.dumps(value)) <= 3 * RESULT_LIMIT:
        return value
    kept = raw[: RESULT_LIMIT - 200].decode("utf-8", "ignore")
    while len(json.dumps(kept)) > 3 * RESULT_LIMIT:  # control characters take six bytes each in a journal
        kept = kept[: len(kept) // 2]
    return f"{kept}\n[Cut here: the tool returned {len(raw)} bytes, and at most {RESULT_LIMIT} are kept.]"


def _kind(value: Json) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing" if value is None else "something else")
