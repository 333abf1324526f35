"""Whether arguments fit a tool's JSON schema, and which field does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import NoSuchResource

Json = Any


@dataclass(frozen=True, slots=True)
class ArgumentFault:
    """``field``: path inside the arguments such as ``amount`` or ``items[0].sku``; ``arguments`` for the whole."""

    field: str
    message: str


def first_fault(schema: Json, arguments: Json) -> ArgumentFault | None:
    """The most telling reason why ``arguments`` do not fit ``schema``, or None.

    A missing schema accepts any object. A schema that is itself broken, or refers outside itself, is a fault: what
    cannot be checked does not pass.
    """
    if not isinstance(arguments, dict):
        return ArgumentFault("arguments", "must be an object of named values")
    if not schema:
        return None
    try:
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        kind.check_schema(schema)
        found = best_match(kind(schema, registry=Registry(retrieve=_refuse)).iter_errors(arguments))
    except SchemaError as error:
        return ArgumentFault("arguments", f"cannot be checked, the tool's schema is broken: {error.message}")
    except Exception as error:  # an unresolvable reference has several private types
        return ArgumentFault("arguments", f"cannot be checked against the tool's schema: {error}")
    if found is None:
        return None
    return ArgumentFault(_path(found) or "arguments", found.message)


def _refuse(uri: str) -> Any:
    """Schemas of tools never make the server fetch anything."""
    raise NoSuchResource(ref=uri)


def _path(error: jsonschema.ValidationError) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = [name for name in error.validator_value if name not in error.instance]
        parts += [f".{missing[0]}"] if missing else []
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        extra = sorted(error.instance.keys() - known.keys())
        parts += [f".{extra[0]}"] if extra else []
    return "".join(parts).lstrip(".")
