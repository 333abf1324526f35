"""RFC 9457 problem documents, as the API answers every error."""

from typing import Any

from django.http import JsonResponse

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    413: "Too large",
    422: "Invalid",
    429: "Too many requests",
    500: "Server error",
    503: "Not available",
    507: "No room",
}


def problem(
    status: int, detail: str, *, title: str = "", headers: dict[str, str] | None = None, **more: Any
) -> JsonResponse:
    """A problem document. ``more`` are extension members."""
    body = {"type": "about:blank", "title": title or TITLES.get(status, "Error"), "status": status, "detail": detail}
    return JsonResponse(body | more, status=status, content_type="application/problem+json", headers=headers)
