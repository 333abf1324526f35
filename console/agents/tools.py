"""What a team may do: the tools of a catalogue, as the agents package needs to know them."""

from __future__ import annotations

import hashlib
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

UNPARSABLE = "_unparsable"  # the one argument of a call whose arguments were not JSON: the model's own text

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}

DEED = 120  # characters of a deed's name: with its scope before it, it is an idempotency key of at most 200

_FIELD = re.compile(r"\{([A-Za-z_][\w.]*)\}")


class Failed(Exception):
    """A tool answered that it cannot do this, and did not."""


class Unavailable(Exception):
    """A tool could not be reached, or answered that it is out of order: nothing has happened.

    ``cause`` is a short word for the attempt, ``wait`` how many seconds the tool asks to be left alone for, and ``again``
    says whether another try makes sense.
    """

    cause = "unavailable"

    def __init__(self, message: str = "", *, cause: str = "", wait: float | None = None, again: bool = True) -> None:
        super().__init__(message)
        self.cause = cause or type(self).cause
        self.wait = wait
        self.again = again


class NoAnswer(Unavailable):
    """The call was sent off and no answer came: it may have happened all the same."""

    cause = "no_answer"


@dataclass(frozen=True)
class ToolSpec:
    """One version of one catalogue tool.

    ``schema`` is the JSON schema of the arguments (an object). ``safety`` says what doing it again would mean, ``risk``
    is low, medium or high, ``approval`` is require, allow or unknown (which means require). ``title`` is a sentence
    for people with ``{argument}`` in it. ``action`` is a template that names the deed ("refund {order}"): within
    ``action_scope`` ("run", or "topic_source" for all runs of one source) it is done once, see deeds.py. ``money`` is the
    name of an amount among the arguments and its currency ("amount EUR"), ``owner`` who answers for the tool.
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
    action_scope: str = "run"
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

    def shown(self, name: str, given: Json, mode: str, fault: str | None) -> dict[str, Json]:
        """What a gate is told of a call, which the team knows the tool for by ``name``: what people see, rules judge.

        ``fault`` is what ``fault`` says of the arguments.
        """
        shown: dict[str, Json] = {
            "title": self.headline(given),
            "tool": name,
            "catalogue": self.name,
            "version": self.version,
            "arguments": given,
            "description": self.description,
            "schema": dict(self.schema),
            "safety": str(self.safety),
            "risk": self.risk,
            "approval": "require" if fault or self.approval == "unknown" else self.approval,
            "mode": mode,
        }
        if self.money:
            shown["money"] = self.money
        if fault:
            shown["fault"] = fault
        return shown

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
        """The action's name, from the tool's template; None without one, or where the arguments leave it open.

        Two deeds never share a name: nothing is left out of what is put in, and a long name ends in its digest.
        """
        if not self.action or not isinstance(arguments, dict):
            return None
        found = {path: argument(arguments, path) for path in fields_of(self.action)}
        if any(one is None or one == "" for one in found.values()):
            return None
        name = _FIELD.sub(lambda match: _exact(found[match[1]]), self.action)
        if len(name) <= DEED and name.isprintable():
            return name
        shown = "".join(each if each.isprintable() else " " for each in name[:80])
        return f"{shown} {hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


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


def fields_of(template: str) -> list[str]:
    """The arguments that a template names, such as ``order`` or ``customer.id``."""
    return _FIELD.findall(template)


def argument(arguments: Mapping[str, Any], path: str) -> Json:
    """An argument by its path; None where there is none."""
    found: Any = arguments
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _exact(found: Json) -> str:
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, sort_keys=True, default=str)


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


def words(error: BaseException) -> str:
    """What an exception says, or its type's name where it says nothing, or fails at it."""
    try:
        said = str(error)
    except Exception:
        said = ""
    return said or type(error).__name__


def clip(text: str, length: int) -> str:
    """At most ``length`` characters, with an ellipsis for the rest."""
    return text if len(text) <= length else text[: length - 1] + "…"


def as_text(value: Json) -> str:
    """A tool's result as the model reads it."""
    return writable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def writable(text: str) -> str:
    """The text without halves of surrogate pairs: JSON lets them in, and nothing else can write them."""
    return text.encode("utf-8", "replace").decode()


def _kind(value: Json) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing" if value is None else "something else")
