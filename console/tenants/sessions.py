"""Sessions of people, and their audit rows: each tenant hears of the log-ins of its own members, and of failed ones."""

import structlog
from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from console.audit import log
from console.tenants import limits, scopes
from console.tenants.access import NotFound
from console.tenants.middleware import actor_for, memberships_of
from console.tenants.models import Tenant, User

FAILURES = 10  # of one user and minute are recorded: guessing must not flood a record that is never erased
events = structlog.get_logger(__name__)


def begin(request: HttpRequest, name: str, password: str) -> User | None:
    """Log somebody in; None when name and password do not match."""
    user = authenticate(request, username=name, password=password)
    if user is None:
        _refused(name)
        return None
    assert isinstance(user, User)  # noqa: S101  # AUTH_USER_MODEL
    login(request, user)
    _record(user, "session.began")
    return user


def end(request: HttpRequest) -> None:
    """Log out whoever is logged in."""
    if isinstance(request.user, User):
        _record(request.user, "session.ended")
    logout(request)


def switch(request: HttpRequest, slug: str) -> Tenant:
    """Make another of the signed-in user's tenants the session's. Raises NotFound where the user is no member.

    Recorded in the tenant that is entered. Call inside the scope of the page.
    """
    for membership in getattr(request, "memberships", ()):
        if membership.tenant.slug == slug and isinstance(request.user, User):
            request.session["tenant"] = slug
            with scopes.tenant_scope(membership.tenant_id):
                log.record(actor_for(request.user, membership), "session.switched", "user", request.user.pk)
            return membership.tenant
    raise NotFound("No such tenant.")


def put_password(request: HttpRequest, old: str, new: str) -> dict[str, str]:
    """Give the signed-in person another password; faults by field, and an empty mapping when it is done.

    Their other sessions end, since each holds a hash of the password; this one goes on.
    """
    user = request.user
    if not isinstance(user, User):
        raise NotFound("Nobody is signed in.")
    if not user.check_password(old):
        _refused(user.username)
        return {"old": "is not your password"}
    if new == old:
        return {"new": "This is the password you have. Choose another."}
    try:
        validate_password(new, user)
    except ValidationError as fault:
        return {"new": " ".join(fault.messages)}
    user.set_password(new)
    user.first_password = False
    user.save(update_fields=["password", "first_password"])
    update_session_auth_hash(request, user)
    _record(user, "member.password")
    return {}


def _refused(name: str) -> None:
    """A name that nobody has is not written down: people type their passwords there."""
    user = User.objects.filter(username=name).first()
    events.warning("log_in_refused", user=str(user.pk) if user else None)
    if user is not None and limits.take(f"refused:{user.pk}", most=FAILURES) is None:
        _record(user, "session.refused")


def _record(user: User, action: str) -> None:
    with scopes.user_scope(user.pk):
        for membership in memberships_of(user):
            with scopes.tenant_scope(membership.tenant_id):
                log.record(actor_for(user, membership), action, "user", user.pk)
