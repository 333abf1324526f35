"""The API's root: what every call under /api/v1/ has in common. Each app's calls are in its own api.py.

TenantMiddleware has authenticated the bearer token, counted the call and opened the tenant's scope before anything
here runs; it rolls back whatever answers with an error. IdempotencyMiddleware answers a repeated key. What is left
here is to turn every failure into a problem document (RFC 9457) that names the field at fault.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, re_path
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.security import HttpBearer

from approvals import reading
from approvals.actions import Conflict, Invalid, TooLate
from approvals.api import router as approvals
from approvals.notices.api import router as channels
from approvals.probes.api import router as probes
from approvals.rules_api import router as rules
from console import openapi, outage
from console.paging import BadCursor
from console.runs import actions as run_actions
from console.runs import topics
from console.runs.api import router as runs
from console.runs.forks_api import router as forks
from console.runs.prices_api import router as prices
from console.runs.retries_api import router as retries
from console.runs.smoke_api import router as smoke_tests
from console.tenants import actions as tenant_actions
from console.tenants.absences_api import router as absences
from console.tenants.access import Actor
from console.tenants.api import router as tenants
from console.tenants.display_api import router as displays
from console.tenants.groups_api import router as people
from console.tenants.problems import problem
from console.workflows import actions as workflow_actions
from console.workflows.api import router as workflows
from console.workflows.errors import Conflict as WorkflowConflict
from console.workflows.tool_api import router as tools
from console.workflows.waiver_api import router as waivers
from telemetry.alerts.api import router as alerts
from telemetry.api import router as telemetry
from telemetry.people_api import router as looking
from telemetry.windows import BadQuery

log = structlog.get_logger(__name__)


class Token(HttpBearer):
    """The token that TenantMiddleware has checked already: here it only has to be there."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:
        return getattr(request, "actor", None)


class StrictParser(Parser):
    """JSON as the standard says, and as Postgres can keep it: no NaN, no number beyond all bounds, no NUL in a text, no
    half of a surrogate pair. Python alone would take all of them."""

    def parse_body(self, request: HttpRequest) -> Any:
        value = json.loads(request.body, parse_constant=_refuse, parse_float=_finite)
        if b"\\u" in request.body:
            _check_texts(value)
        return value


class Api(NinjaAPI):
    """django-ninja, with problem documents also for a wrong method and an unknown path."""

    def get_openapi_schema(self, **place: Any) -> OpenAPISchema:  # type: ignore[override]  # hands all of it on
        schema = super().get_openapi_schema(**place)
        openapi.complete(schema)
        return schema

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        urls = [_guarded(url) for url in super()._get_urls()]
        return [*urls, re_path(r"^.*$", _nothing_here, name="nothing-here")]


def _guarded(url: Any) -> Any:
    view: Callable[..., HttpResponseBase] = url.callback

    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        allowed = response["Allow"]
        return problem(
            405,
            f"{request.method} is not possible here; {allowed} is.",
            title="Method not allowed",
            headers={"Allow": allowed},
        )

    # A partial, as ninja's own views are, has no name to take over.
    named = wraps(view)(guarded) if hasattr(view, "__name__") else guarded
    named.csrf_exempt = True  # type: ignore[attr-defined]  # a bearer token, never a cookie, says who calls
    url.callback = named
    return url


def _nothing_here(request: HttpRequest) -> HttpResponse:
    return problem(404, "There is nothing at this address. GET /api/v1/openapi.json lists what there is.")


_nothing_here.csrf_exempt = True  # type: ignore[attr-defined]  # as above


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text in it holds a NUL character")
        value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


api = Api(
    title="Sayso",
    version="1",
    urls_namespace="api",
    description="Agents act on your say-so. Errors are problem documents (RFC 9457); lists are {items, next}; "
    "writing calls honour Idempotency-Key.",
    docs_url=None,
    auth=Token(),
    parser=StrictParser(),
)
for each in (
    retries,  # before runs/{run_id}
    runs,
    forks,
    approvals,
    rules,
    channels,
    workflows,
    waivers,
    smoke_tests,
    tools,
    tenants,
    people,
    absences,
    telemetry,
    prices,
    displays,
    probes,
    looking,
    alerts,
):
    api.add_router("", each)


@api.exception_handler(TooLate)
def _too_late(request: HttpRequest, error: TooLate) -> HttpResponse:
    found = error.request
    return problem(
        409,
        str(error),
        title="Already decided",
        request=str(found.pk),
        request_status=found.status,
        decision=reading.decision(found),
    )


@api.exception_handler(Conflict)
@api.exception_handler(topics.Conflict)
@api.exception_handler(tenant_actions.Conflict)
@api.exception_handler(WorkflowConflict)
def _conflict(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(409, str(error))


@api.exception_handler(run_actions.Refused)
def _refused(request: HttpRequest, error: run_actions.Refused) -> HttpResponse:
    return problem(409, str(error), title=error.title)


@api.exception_handler(run_actions.Repeats)
def _repeats(request: HttpRequest, error: run_actions.Repeats) -> HttpResponse:
    return problem(409, str(error), title="This would happen again", effects=[each.out() for each in error.effects])


@api.exception_handler(workflow_actions.Refused)
def _body_refused(request: HttpRequest, error: workflow_actions.Refused) -> HttpResponse:
    errors = [{"path": each.path, "message": each.message} for each in error.findings if each.level == "error"]
    return problem(422, "; ".join(f"{each['path']}: {each['message']}" for each in errors[:5]), errors=errors)


@api.exception_handler(run_actions.AtLimit)
def _at_limit(request: HttpRequest, error: run_actions.AtLimit) -> HttpResponse:
    return problem(429, str(error), headers={"Retry-After": str(error.wait)})


@api.exception_handler(Invalid)
@api.exception_handler(run_actions.Invalid)
@api.exception_handler(tenant_actions.Invalid)
@api.exception_handler(workflow_actions.Invalid)
@api.exception_handler(BadQuery)
def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    return problem(422, f"{error.field}: {error.message}", errors=[{"field": error.field, "message": error.message}])


@api.exception_handler(BadCursor)
def _bad_cursor(request: HttpRequest, error: BadCursor) -> HttpResponse:
    return problem(422, f"cursor: {error}", errors=[{"field": "cursor", "message": str(error)}])


@api.exception_handler(ValidationError)
def _does_not_fit(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [{"field": _field(each["loc"]), "message": each["msg"]} for each in error.errors]
    return problem(422, "; ".join(f"{each['field']}: {each['message']}" for each in errors[:5]), errors=errors)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, str(error) or "There is no such thing.")


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, str(error) or "Your role may not do this.")


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem(401, "Send a token: Authorization: Bearer sayso_...", headers={"WWW-Authenticate": "Bearer"})


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem(413, f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes, which is the limit.")


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code != 400:
        return problem(error.status_code, str(error))
    why = str(error.__cause__) if error.__cause__ else ""
    return problem(400, f"The body cannot be read as JSON: {why[:300]}" if why else "The body cannot be read as JSON.")


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    found = outage.outage_of(error)
    if found is not None:
        return outage.answer(found, True, request)
    log.error("api_call_failed", method=request.method, path=request.path_info, exc_info=error)
    return problem(500, "Something went wrong here; nothing was changed.")


def _field(place: tuple[Any, ...]) -> str:
    """``("body", "body", "metadata", "a", 0)`` as ``metadata.a[0]``; the name of the body's parameter says nothing."""
    source, *rest = place
    if source == "body":
        rest = rest[1:]
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest).lstrip(".")
    return text or str(source)
