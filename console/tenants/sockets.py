"""Who is at the other end of a websocket. Reads the session cookie or the Authorization header, never the address."""

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from console.tenants import platform, scopes, tokens
from console.tenants.access import Actor
from console.tenants.middleware import actor_for, bearer_of, choose, memberships_of
from console.tenants.models import Tenant


def actor_for_websocket(scope: Mapping[str, Any]) -> Actor | None:
    """The actor of an ASGI websocket scope, or None. Ask again with the same scope to hear whether it still holds.

    Reads the database: call it in a thread. The caller checks the Origin header where a cookie may have been sent.
    A token, where one is sent, is all that counts.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    bearer = bearer_of(headers.get(b"authorization", ""))
    if bearer is not None:
        return tokens.authenticate(bearer)
    key = _cookie(headers.get(b"cookie", ""), settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user: Any = get_user(request)  # verifies the session's hash of the password too
    if not user.is_authenticated or user.first_password:
        return None
    request.user = user
    visit = platform.visit_of(request)
    if visit is not None:
        with scopes.tenant_scope(visit.tenant_id):
            tenant = Tenant.objects.filter(pk=visit.tenant_id).first()
            return platform.visitor(user, tenant) if tenant else None
    with scopes.user_scope(user.pk):
        chosen = choose(memberships_of(user), request.session.get("tenant"))
        return actor_for(user, chosen) if chosen else None


def _cookie(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
