"""What a run may be given as its input, and what it is called by it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from console.workflows.errors import Invalid

LIMIT = 64 * 1024  # bytes of the input as JSON
DEEPEST = 100  # levels of it: whoever reads it afterwards does so by recursion


def check(value: Any, schema: Mapping[str, Any] | None) -> None:
    """Raises Invalid unless ``value`` may be given to a team: text or a JSON object, at most 64 kB, fitting the schema."""
    check_size(value)
    if schema:
        _check_schema(value, schema)
    elif isinstance(value, str):
        if not value.strip():
            raise Invalid("input", "is empty")
    elif not isinstance(value, dict) or not value:
        raise Invalid("input", "must be text or a JSON object")


def check_size(value: Any, field: str = "input", limit: int = LIMIT) -> None:
    """Raises Invalid unless ``value`` is JSON of at most ``limit`` bytes that can be kept: no half of a surrogate pair in
    it. ``field`` is what it is called."""
    if _deep(value):
        raise Invalid(field, f"is nested more than {DEEPEST} levels deep")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise Invalid(field, f"is not JSON: {error}") from error
    if size > limit:
        raise Invalid(field, f"is {size:,} bytes as JSON; the limit is {limit:,} ({limit // 1024} kB)")


def read(text: str, as_json: bool, field: str = "input") -> Any:
    """What was typed into a form. Raises Invalid when it is to be JSON and is not."""
    value = text.replace("\r\n", "\n")
    if not as_json:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Invalid(field, f"is not JSON: {error}") from None


def written(value: Any) -> str:
    """A value as a form shows it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def title(value: Any) -> str:
    """The first line of an input, shortened."""
    text = value
    if isinstance(value, dict):
        text = next((item for item in value.values() if isinstance(item, str) and item.strip()), json.dumps(value))
    lines = str(text).replace("\x00", "").strip().splitlines()
    first = lines[0].strip() if lines else ""
    return first if len(first) <= 120 else first[:119] + "…"


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [one for each in level if isinstance(each, list) for one in each] + [
            one for each in level if isinstance(each, dict) for one in each.values()
        ]
        if not level:
            return False
    return True


def _check_schema(value: Any, schema: Mapping[str, Any]) -> None:
    # An empty registry: what a schema refers to is in it, and is never fetched from anywhere.
    checker = jsonschema.Draft202012Validator(schema, registry=Registry())
    try:
        faults = sorted(checker.iter_errors(value), key=lambda one: list(map(str, one.absolute_path)))
    except RecursionError as error:
        raise Invalid("input", "cannot be checked: input_schema refers to itself without end") from error
    except (Unresolvable, jsonschema.exceptions.UnknownType, TypeError, ValueError, re.error) as error:
        raise Invalid("input", f"cannot be checked, input_schema is broken: {str(error)[:200]}") from error
    for wrong in faults:
        raise Invalid("input" + wrong.json_path.removeprefix("$"), wrong.message[:500])
