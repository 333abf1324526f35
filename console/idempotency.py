"""``Idempotency-Key``: a writing API call that is sent twice happens once.

The record is written in the call's own transaction, before the view runs, under a unique key. So a second call of the
same key waits at the index until the first commits, and then answers with the first one's response; there is never a
record without its effect, nor an effect without its record. A call that ends in an error changed nothing, is rolled
back as a whole, and leaves no record: it may be sent again.

Records are kept for a day; see ``prune``.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta

from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from console.tenants import crypto, scopes
from console.tenants.access import Actor
from console.tenants.models import IdempotencyRecord
from console.tenants.problems import problem

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
KEY_MAX = 200  # characters
WAIT_MS = 10_000  # how long a second call waits for the first before it hears that it is in progress
KEEP = timedelta(days=1)
_LOCK_NOT_AVAILABLE = "55P03"


class IdempotencyMiddleware:
    """Stands inside TenantMiddleware, whose transaction and actor it uses."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get("Idempotency-Key")
        actor: Actor | None = getattr(request, "actor", None)
        if key is None or actor is None or request.method not in WRITING or not request.path_info.startswith("/api/"):
            return self.get_response(request)
        if not key or len(key) > KEY_MAX or not key.isascii() or not key.isprintable():
            return problem(422, f"Idempotency-Key is 1 to {KEY_MAX} printable ASCII characters.")
        try:
            digest = request_digest(request)
        except RequestDataTooBig:
            return problem(413, "The request's body is too large.")
        try:
            begun = _begin(request, actor, key, digest)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                raise
            return problem(409, "A call with this Idempotency-Key is in progress.", headers={"Retry-After": "1"})
        if not begun:
            return _replay(actor, key, digest)
        response = self.get_response(request)
        if response.status_code < 400:
            _keep(actor, key, response)
        return response


def request_digest(request: HttpRequest) -> str:
    """What makes two calls the same: method, full path and body."""
    head = f"{request.method}\n{request.get_full_path()}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()


def prune() -> int:
    """Delete records older than KEEP, of every tenant; returns how many."""
    with scopes.system_scope("prune idempotency records"):
        return IdempotencyRecord.objects.filter(created_at__lt=timezone.now() - KEEP).delete()[0]


def _begin(request: HttpRequest, actor: Actor, key: str, digest: str) -> bool:
    """Whether this call is the first of its key. Waits for one under way; OperationalError when that takes long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)", [f"{WAIT_MS}ms"])
        before = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO tenants_idempotencyrecord"
            " (tenant_id, caller_id, key, method, path, request_digest, content_type, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, '', now()) ON CONFLICT (tenant_id, caller_id, key) DO NOTHING",
            [actor.tenant.id, actor.id, key, request.method, request.path_info[:500], digest],
        )
        begun = cursor.rowcount == 1
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
    return begun


def _replay(actor: Actor, key: str, digest: str) -> HttpResponse:
    record = IdempotencyRecord.objects.get(tenant_id=actor.tenant.id, caller_id=actor.id, key=key)
    if record.request_digest != digest:
        return problem(
            422, f"This Idempotency-Key was used for another call: {record.method} {record.path}, or another body."
        )
    body = crypto.unseal(actor.tenant.id, "idempotency", record.sealed_response or b"")
    response = HttpResponse(body, status=record.status, content_type=record.content_type)
    response["Idempotency-Replayed"] = "true"
    return response


def _keep(actor: Actor, key: str, response: HttpResponseBase) -> None:
    IdempotencyRecord.objects.filter(tenant_id=actor.tenant.id, caller_id=actor.id, key=key).update(
        status=response.status_code,
        content_type=response.get("Content-Type", ""),
        sealed_response=crypto.seal(actor.tenant.id, "idempotency", b"".join(response)),
    )
