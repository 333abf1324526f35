"""What an admin does to the people of a tenant, by name. What a membership is, is in actions.py."""

from __future__ import annotations

import re
import secrets
import unicodedata

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from console.audit import log
from console.tenants import access, actions
from console.tenants.access import Actor, NotFound
from console.tenants.actions import Invalid
from console.tenants.models import Membership, Role, User

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another when it is read out
_USERNAME = re.compile(r"\w[\w.@+-]{0,149}")


def invite(actor: Actor, username: str, *, name: str = "", email: str = "", role: str) -> tuple[User, str]:
    """Make a person and give them a role; returns them and their first password, which is never to be had again,
    and which they change when they first log in.

    Somebody who was a member before is one again, and keeps their password: "" is returned. A user name of somebody
    whom this tenant never knew is taken, and no more is said of them. Raises Forbidden, Invalid.
    """
    access.require(actor, Role.ADMIN)
    username = unicodedata.normalize("NFKC", username.strip())
    if not _USERNAME.fullmatch(username):
        raise Invalid("username", "A user name is 1 to 150 letters, digits and . @ + - _, such as rita.")
    name = " ".join(name.split())
    if len(name) > 150 or not name.isprintable():
        raise Invalid("name", "The name is at most 150 printable characters.")
    email = email.strip()
    if email:
        try:
            validate_email(email)
        except ValidationError:
            raise Invalid("email", "This is no e-mail address.") from None
        if len(email) > 254:
            raise Invalid("email", "The e-mail address is at most 254 characters.")
    if role not in Role.values:
        raise Invalid("role", f"A role is one of {', '.join(Role.values)}.")
    there = User.objects.filter(username__iexact=username).first()
    if there is not None:
        return _again(actor, there, role), ""
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3))
    first, _, last = name.partition(" ")
    with transaction.atomic():
        # Two at once: the second waits for the first, and then finds the name taken.
        user, made = User.objects.get_or_create(
            username=username, defaults={"first_name": first, "last_name": last, "email": email}
        )
        if not made:
            return _again(actor, user, role), ""
        user.set_password(password)
        user.first_password = True
        user.save(update_fields=["password", "first_password"])
        log.record(actor, "member.invited", "user", user.id, username=username, name=user.name)
        actions.add_member(actor, user, role)
    return user, password


def _again(actor: Actor, user: User, role: str) -> User:
    member = access.all(Membership, actor).filter(user=user).first()
    if member is None:
        raise Invalid(
            "username",
            "This user name is taken. Choose another; or, where it is the same person's in another organisation, ask "
            "whoever runs this installation for: manage.py add_member "
            f"{user.username} --tenant {actor.tenant.slug} --role {role}",
        )
    if member.active:
        raise Invalid("username", f"{user.username} is a member already, as {member.role}.")
    actions.add_member(actor, user, role)
    return user


def put_role(actor: Actor, username: str, role: str) -> Membership:
    """Give a member another role; what they may do changes with their next click or call.

    Raises Forbidden, NotFound, Invalid, Conflict for the last admin.
    """
    access.require(actor, Role.ADMIN)
    member = _member(actor, username)
    if member.role == role:
        return member
    return actions.add_member(actor, member.user, role)


def end_membership(actor: Actor, username: str) -> None:
    """End a membership. Raises Forbidden, NotFound, Conflict for the last admin."""
    access.require(actor, Role.ADMIN)
    actions.remove_member(actor, _member(actor, username).user_id)


def _member(actor: Actor, username: str) -> Membership:
    try:
        rows = Membership.objects.select_related("user")
        return access.get(rows, actor, user__username=username, active=True)
    except NotFound:
        raise NotFound("No member here has that user name.") from None
