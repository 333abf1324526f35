"""What every call of the API's description has in common, beside what its own function says."""

from __future__ import annotations

from typing import Any

from console.idempotency import KEY_MAX, WRITING

PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "errors": {
            "type": "array",
            "description": "Each fault: the field of the body or query, or the JSON path of a revision, and what is wrong.",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "path": {"type": "string", "pattern": r"^\$\."},
                    "message": {"type": "string"},
                },
                "required": ["message"],
            },
        },
        "decision": {
            "description": "Of a request that was decided already: the decision that won.",
            "anyOf": [{"$ref": "#/components/schemas/DecisionOut"}, {"type": "null"}],
        },
    },
    "required": ["type", "title", "status", "detail"],
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent twice, the call happens once, and is answered with the first answer for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
}
_ALWAYS = {
    "401": "No token, or one that is no good.",
    "403": "The token's role may not do this.",
    "429": "Too many calls in this minute; Retry-After says when to try again.",
}
_WRITING = {
    "400": "The body is no JSON.",
    "409": "Too late, or in conflict with what is.",
    "413": "The body is too large.",
}
_NOT_THERE = "There is no such thing in the token's tenant."
_UNFIT = "Something in the call makes no sense; errors names each fault."


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Say in ``document``, too, what the middleware does: the errors of each call, and Idempotency-Key. In place."""
    document["components"]["schemas"]["Problem"] = PROBLEM
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            writes = method.upper() in WRITING
            told = _ALWAYS | (_WRITING if writes else {})
            if writes or any(each["in"] == "query" for each in call.get("parameters", ())):
                told = {**told, "422": _UNFIT}
            if "{" in path or path.endswith("/runs"):
                told = {**told, "404": _NOT_THERE}
            said = {str(status): response for status, response in call["responses"].items()}
            call["responses"] = said | {status: _problem(told[status]) for status in sorted(told) if status not in said}
            if writes:
                call["parameters"] = [*call.get("parameters", ()), KEY]
    return document


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}
