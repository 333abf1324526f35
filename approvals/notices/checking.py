"""What a channel may be: every field of it checked. Raises errors.Invalid, whose messages are whole sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from approvals.errors import Invalid
from approvals.notices import chat
from approvals.notices.events import EVENTS
from approvals.notices.models import ChannelKind
from console.tenants import access
from console.tenants.access import Actor
from console.workflows import egress
from console.workflows.models import Workflow

RISKS = ("low", "medium", "high")
RECIPIENTS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
_LISTED = 50  # entries of a filter


@dataclass(frozen=True, slots=True)
class Address:
    """Where a channel leads. ``sealed`` is to be sealed, ``place`` may be shown."""

    sealed: Mapping[str, Any]
    place: str


def name(value: str) -> str:
    """A channel's name. Raises Invalid."""
    if not _NAME.fullmatch(value):
        raise Invalid("name", "A name is 1 to 60 letters, digits, dots, hyphens and underscores, such as ops-alerts.")
    return value


def kind(value: str) -> str:
    """Raises Invalid."""
    if value not in ChannelKind.values:
        raise Invalid("kind", f"The kind is one of {', '.join(ChannelKind.values)}.")
    return value


def address(of_kind: str, given: str) -> Address:
    """What was typed as the address of a channel. The name service may be asked. Raises Invalid."""
    if of_kind == ChannelKind.EMAIL:
        return _mail(given)
    if of_kind == ChannelKind.CHAT:
        try:
            return Address({"url": given}, chat.name_of(given, settings.SAYSO_EGRESS_ALLOW))
        except chat.Refused as refused:
            raise Invalid("address", str(refused)) from None
    return _webhook(given)


def _mail(given: str) -> Address:
    found = list(dict.fromkeys(each for each in re.split(r"[\s,;]+", given) if each))
    if not 1 <= len(found) <= RECIPIENTS:
        raise Invalid("address", f"Give 1 to {RECIPIENTS} e-mail addresses, one a line.")
    for each in found:
        try:
            validate_email(each)
        except ValidationError:
            raise Invalid("address", f"{each[:80]!r} is no e-mail address.") from None
    return Address({"to": found}, f"{len(found)} e-mail address{'es' if len(found) > 1 else ''}")


def _webhook(given: str) -> Address:
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        user = parts.username or parts.password
    except ValueError:
        good, user = False, None
    if not good or len(given) > 500 or not given.isprintable() or " " in given:
        raise Invalid("address", "The address is an http or https URL of at most 500 characters.")
    if user:
        raise Invalid("address", "The address carries no user or password: the signature says that it is us.")
    fault = egress.fault(given, settings.SAYSO_EGRESS_ALLOW)
    if fault:
        raise Invalid("address", fault)
    return Address({"url": given}, f"{parts.scheme}://{parts.netloc}"[:300])


def events(given: Sequence[str]) -> list[str]:
    """At least one of EVENTS. Raises Invalid."""
    strange = next((each for each in given if each not in EVENTS), None)
    if strange is not None:
        raise Invalid("events", f"There is no event {strange[:40]!r}; there are {', '.join(EVENTS)}.")
    if not given:
        raise Invalid("events", "Choose at least one event: a channel without any never hears anything.")
    return [each for each in EVENTS if each in given]


def risks(given: Sequence[str]) -> list[str]:
    """None means all. Raises Invalid."""
    strange = next((each for each in given if each not in RISKS), None)
    if strange is not None:
        raise Invalid("risks", f"There is no risk {strange[:40]!r}; there are {', '.join(RISKS)}.")
    return [each for each in RISKS if each in given]


def groups(given: Sequence[str]) -> list[str]:
    """Names of groups; none means all. Raises Invalid."""
    return _names("groups", given)


def workflows(actor: Actor, given: Sequence[str]) -> list[str]:
    """Slugs of workflows of the actor's tenant; none means all. Raises Invalid."""
    found = _names("workflows", given)
    known = set(access.all(Workflow, actor).filter(slug__in=found).values_list("slug", flat=True)) if found else set()
    strange = next((each for each in found if each not in known), None)
    if strange is not None:
        raise Invalid("workflows", f"There is no workflow {strange[:60]!r} here.")
    return found


def _names(field: str, given: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(each.strip() for each in given if each.strip()))
    if len(found) > _LISTED:
        raise Invalid(field, f"At most {_LISTED} {field}.")
    if any(len(each) > 100 or not each.isprintable() for each in found):
        raise Invalid(field, f"The names of {field} are at most 100 printable characters.")
    return found
