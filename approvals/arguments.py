"""Whether arguments fit a tool's JSON schema, and which field does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
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
        found = best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(arguments))
    except SchemaError as error:
        return ArgumentFault("arguments", f"cannot be checked, the tool's schema is broken: {error.message}")
    except Exception as error:  # an unresolvable reference has several private types; depth is a RecursionError
        return ArgumentFault("arguments", f"cannot be checked against the tool's schema: {error}")
    if found is None:
        return None
    return ArgumentFault(_path(found) or "arguments", found.message)


@lru_cache(maxsize=1024)
def _validator(schema_text: str) -> Validator:
    """A validator for a schema given as JSON; checking and building one costs a hundred times what using it does."""
    schema = json.loads(schema_text)
    kind = validator_for(schema, default=Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema, registry=Registry(retrieve=_refuse))


def _refuse(uri: str) -> Any:
    """Schemas of tools never make the server fetch anything."""
    raise NoSuchResource(ref=uri)


def _path(error: ValidationError) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = [name for name in cast(list[str], error.validator_value) if name not in error.instance]
        parts += [f".{missing[0]}"] if missing else []
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        extra = sorted(error.instance.keys() - known.keys())
        parts += [f".{extra[0]}"] if extra else []
    return "".join(parts).lstrip(".")
