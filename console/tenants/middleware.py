"""Who is asking, and in which tenant: sets ``request.actor`` and holds the whole response inside the tenant's scope.

Pages go by session: user, active membership (the session's tenant, by default the first by name), actor. Calls under
/api/ go by bearer token alone; a session says nothing there, so no other site's form can reach it.

The scope wraps ``get_response``: a template rendered after a view's own scope would show nothing. Django turns a view's
exception into a response before it comes back here, so ``process_exception`` marks the transaction for rollback; an
answer of 5xx, and under /api/ any error, rolls back too: a call that reports an error has changed nothing.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from structlog.contextvars import bind_contextvars

from console.tenants import limits, platform, scopes, tokens
from console.tenants.access import Actor, Forbidden
from console.tenants.models import Membership, Tenant, User
from console.tenants.problems import problem

OPEN_PATHS = frozenset(
    {"/healthz", "/readyz", "/metrics", "/login/", "/logout/", "/favicon.ico", "/robots.txt", "/api/v1/openapi.json"}
)


CHANGE_PATH = "/you/password/"  # all that somebody with a first password is shown
PLATFORM = "/platform/"  # of platform admins, who are in no tenant there


class TenantMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.actor = None  # type: ignore[attr-defined]
        request.memberships = []  # type: ignore[attr-defined]
        if request.path_info in OPEN_PATHS or request.path_info.startswith(_static()):
            return self.get_response(request)
        if request.path_info.startswith("/api/"):
            return self._api(request)
        return self._page(request)

    def _api(self, request: HttpRequest) -> HttpResponseBase:
        bearer = bearer_of(request.headers.get("Authorization", ""))
        if bearer is None:
            return _unauthorized("Send a token: Authorization: Bearer sayso_...")
        wait = limits.take(tokens.digest_of(bearer)[:32])
        if wait is not None:
            return problem(429, f"Too many calls; again in {wait} s.", headers={"Retry-After": str(wait)})
        with tokens.token_scope(bearer) as actor:
            if actor is None:
                return _unauthorized("The token is unknown, expired or revoked, or its holder has lost the role.")
            request.actor = actor  # type: ignore[attr-defined]
            bind_contextvars(tenant=actor.tenant.slug)
            response = self.get_response(request)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            return _kept_nowhere(response)

    def _page(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user
        if not user.is_authenticated:
            return _to_login(request)
        if request.path_info.startswith(PLATFORM):
            return self._platform(request)
        visit = platform.visit_of(request)
        if visit is not None and request.path_info != CHANGE_PATH:
            return self._visited(request, visit)
        with scopes.user_scope(user.pk):
            request.memberships = memberships = memberships_of(user)  # type: ignore[attr-defined]
            chosen = choose(memberships, request.session.get("tenant"))
            if chosen is None and platform.may(user):
                return self.get_response(request) if request.path_info == CHANGE_PATH else redirect(PLATFORM)
            if chosen is None:
                request.belongs_nowhere = True  # type: ignore[attr-defined]
                return self.get_response(request)
            if user.first_password and request.path_info != CHANGE_PATH:
                return _to_password(request)
            request.actor = actor_for(user, chosen)  # type: ignore[attr-defined]
            bind_contextvars(tenant=chosen.tenant.slug)
            with scopes.tenant_scope(chosen.tenant_id):
                response = self.get_response(request)
                if response.status_code >= 400:  # a page that refuses has not done half of it, either
                    transaction.set_rollback(True)
                return _kept_nowhere(response)

    def _platform(self, request: HttpRequest) -> HttpResponseBase:
        """A platform admin's page, outside any scope; nobody else learns that there is such a thing."""
        if not platform.may(request.user):
            raise Http404
        if request.user.first_password:
            return _to_password(request)
        return _kept_nowhere(self.get_response(request))

    def _visited(self, request: HttpRequest, visit: platform.Visit) -> HttpResponseBase:
        """A tenant's page as a platform admin sees it: with a role that may do nothing, and no form is taken."""
        if request.method not in ("GET", "HEAD"):
            raise Forbidden("You look into this organisation as a platform admin, and can change nothing in it.")
        with scopes.tenant_scope(visit.tenant_id):
            tenant = Tenant.objects.filter(pk=visit.tenant_id).first()
            if tenant is None:
                raise Http404
            request.actor = platform.visitor(request.user, tenant)  # type: ignore[attr-defined]
            request.visit = visit  # type: ignore[attr-defined]
            bind_contextvars(tenant=tenant.slug)
            response = self.get_response(request)
            transaction.set_rollback(True)  # a page that was looked at by an outsider leaves no trace of being read
            return _kept_nowhere(response)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if getattr(request, "belongs_nowhere", False):
            raise Forbidden("You are not a member of any tenant. Ask an admin of yours to add you.")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if scopes.current() is not None:
            transaction.set_rollback(True)
        if request.path_info.startswith("/api/"):
            if isinstance(exception, Http404):
                return problem(404, str(exception) or "Not found.")
            if isinstance(exception, PermissionDenied):
                return problem(403, str(exception) or "Forbidden.")
        return None


def memberships_of(user: User) -> list[Membership]:
    """A user's active memberships with their tenants, by the tenant's name. Call in the user's user_scope."""
    return list(
        Membership.objects.select_related("tenant").filter(user_id=user.pk, active=True).order_by("tenant__name", "id")
    )


def choose(memberships: list[Membership], slug: str | None) -> Membership | None:
    """The membership in the tenant that the session names, else the first."""
    return next((each for each in memberships if each.tenant.slug == slug), memberships[0] if memberships else None)


def actor_for(user: User, membership: Membership) -> Actor:
    """The actor that a signed-in user is in one tenant."""
    return Actor(tenant=membership.tenant, role=membership.role, kind="user", id=user.pk, name=user.name)


def bearer_of(header: str) -> str | None:
    """The token in an Authorization header."""
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def _kept_nowhere(response: HttpResponseBase) -> HttpResponseBase:
    """What a tenant is shown is in no cache: not a proxy's, and not the browser's after somebody has logged out."""
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _unauthorized(detail: str) -> HttpResponse:
    return problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="Sayso"'})


def _to_login(request: HttpRequest) -> HttpResponse:
    """To the log-in page, and back afterwards."""
    if request.headers.get("HX-Request"):
        # htmx would swap the log-in page into the fragment's place; it goes there as a whole instead.
        login = f"{resolve_url(settings.LOGIN_URL)}?next={quote(_back(request))}"
        return HttpResponse(status=401, headers={"HX-Redirect": login})
    return redirect_to_login(_back(request), settings.LOGIN_URL)


def _to_password(request: HttpRequest) -> HttpResponse:
    """To the form in which a first password is changed, and back afterwards; htmx as a whole, as for the log-in."""
    place = f"{CHANGE_PATH}?next={quote(_back(request))}"
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": place})
    return redirect(place)


def _back(request: HttpRequest) -> str:
    """Where to go on afterwards: a POST cannot be repeated by a redirect, and a fragment is no page."""
    if request.headers.get("HX-Request"):
        return urlsplit(request.headers.get("HX-Current-URL", "/")).path or "/"
    return request.get_full_path() if request.method in ("GET", "HEAD") else "/"


def _static() -> str:
    return settings.STATIC_URL if settings.STATIC_URL.startswith("/") else f"/{settings.STATIC_URL}"
