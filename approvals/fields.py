"""A form made from a tool's JSON schema, and the arguments read back out of it with their types."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from approvals.errors import Invalid
from approvals.legible import exact, oddities

Json = Any
PREFIX = "arg."
_NUMBERS = ("integer", "number")


@dataclass(slots=True)
class Field:
    """One argument as a form control. ``widget``: line, area or choice; ``type`` is the schema's."""

    name: str
    type: str
    value: str
    widget: str = "line"
    choices: list[str] = field(default_factory=list)
    required: bool = False
    help: str = ""
    error: str = ""
    lines: int = 3

    @property
    def input(self) -> str:
        """The control's name in the form."""
        return PREFIX + self.name

    @property
    def id(self) -> str:
        """The control's id in the page."""
        return "arg-" + "".join(c if c.isalnum() else "-" for c in self.name)

    @property
    def number(self) -> bool:
        """Whether a phone should offer digits."""
        return self.type in _NUMBERS

    @property
    def json(self) -> bool:
        """Whether the text is JSON rather than the value itself."""
        return self.type == "json"


def fields_of(schema: Json, arguments: Json, typed: Mapping[str, str] | None = None) -> list[Field]:
    """The form for ``arguments``: the schema's properties first, then what the call has besides.

    Empty when there is no form to make (the arguments are not an object): they are then edited as JSON.
    ``typed`` is what a person sent before, by control name; it is shown again.
    """
    if not isinstance(arguments, dict):
        return []
    properties = schema.get("properties") if isinstance(schema, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    required = set(schema.get("required") or ()) if isinstance(schema, dict) else set()
    names = order(schema, [*properties, *arguments])
    made = [_field(name, properties.get(name), arguments, name in required) for name in names]
    for one in made:
        if typed and one.input in typed:
            one.value = typed[one.input]
    return made


def order(schema: Json, names: Iterable[str]) -> list[str]:
    """``names``, each once, as the tool's author wrote them down: keys of sealed JSON are sorted, ``required`` is not."""
    required = schema.get("required") if isinstance(schema, dict) else None
    known = list(dict.fromkeys(names))
    return list(dict.fromkeys([*(name for name in required or () if name in known), *known]))


def _field(name: str, about: Json, arguments: dict[str, Json], required: bool) -> Field:
    about = about if isinstance(about, dict) else {}
    present, value = name in arguments, arguments.get(name)
    kind = _type(about, value, present)
    text = "" if not present else str(value) if kind == "string" else exact(value)
    made = Field(name, kind, text, required=required, help=str(about.get("description") or ""))
    choices = about.get("enum")
    if kind == "string" and isinstance(choices, list) and all(isinstance(one, str) for one in choices):
        made.widget, made.choices = "choice", [*([] if required else [""]), *choices]
        if text and text not in choices:
            made.choices.append(text)  # what was asked for stays visible, although it does not fit
    elif kind == "boolean":
        made.widget, made.choices = "choice", [*([] if required else [""]), "true", "false"]
    elif kind == "json" or (kind == "string" and (len(text) > 60 or "\n" in text)):
        made.widget, made.lines = "area", min(max(text.count("\n") + 2, len(text) // 70 + 2), 14)
    return made


def _type(about: dict[str, Json], value: Json, present: bool) -> str:
    """string, integer, number, boolean, or json for everything that is shown as JSON text: a string with characters that
    cannot be seen too, which JSON writes as escapes and a text field would not keep."""
    if isinstance(value, str) and oddities(value):
        return "json"
    declared = about.get("type")
    fits: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    if isinstance(declared, str) and declared in fits:
        right = isinstance(value, fits[declared]) and (declared == "boolean" or not isinstance(value, bool))
        return declared if right or not present else "json"
    return "string" if isinstance(value, str) else "json"


def read(schema: Json, arguments: Json, typed: Mapping[str, str]) -> dict[str, Json]:
    """The arguments that a sent form means. An emptied field is left out; the schema says whether that may be.

    Raises Invalid naming the argument whose text is no value of its type.
    """
    result: dict[str, Json] = {}
    for one in fields_of(schema, arguments):
        if one.input not in typed:
            continue
        text = typed[one.input]
        if one.type == "string":
            was = isinstance(arguments, dict) and one.name in arguments
            if text or was and arguments[one.name] == "":
                result[one.name] = text.replace("\r\n", "\n")
        elif text.strip():
            result[one.name] = _value(one, text)
    return result


def _value(one: Field, text: str) -> Json:
    try:
        value = _loads(text.strip())
    except (ValueError, RecursionError):
        raise Invalid(one.name, f"“{text[:60]}” is not {_WANTED.get(one.type, 'JSON')}") from None
    if one.type in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Invalid(one.name, f"“{text[:60]}” is not {_WANTED[one.type]}")
    return value


def _loads(text: str) -> Json:
    """JSON as the standard says: no NaN, and no number beyond all bounds. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:60]} is too large a number")
    return number


def read_json(text: str) -> Json:
    """Arguments typed as JSON. Raises Invalid with the place where it stops being JSON."""
    try:
        return _loads(text)
    except json.JSONDecodeError as error:
        raise Invalid("arguments", f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise Invalid("arguments", f"is not JSON: {error}") from None


_WANTED = {
    "integer": "a whole number",
    "number": "a number (write 1250.00, without separators)",
    "boolean": "true or false",
}
