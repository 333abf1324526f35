"""What every error of the API looks like."""

from __future__ import annotations

from typing import Any


def problem(response: Any, status: int, *fields: str) -> dict[str, Any]:
    """The problem document of a response, which must have this status and name exactly these fields or paths."""
    assert response.status_code == status, (response.status_code, response.content)
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"] and document["title"] and document["detail"]
    named = [error.get("field") or error.get("path") for error in document.get("errors", [])]
    assert named == list(fields), document
    return document
