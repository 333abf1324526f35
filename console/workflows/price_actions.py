"""What changes a tenant's prices of models. Call inside a tenant_scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction

from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Tenant
from console.workflows import prices
from console.workflows.errors import Conflict, Invalid
from console.workflows.models import PriceList

Json = Any
MOST = 500  # prices in a list
LONGEST = 200  # characters of a model's name, as many as a journal keeps
DEAREST = Decimal(10_000)  # US dollars for a million tokens; what is more is a mistake
KINDS = ("input", "output", "cached")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6}0*)?")


class Faulty(Invalid):
    """A list that cannot be; ``faults`` are (place in the list, field, what is wrong). The first is the message."""

    def __init__(self, faults: list[tuple[int, str, str]]) -> None:
        place, name, said = faults[0]
        super().__init__(f"prices[{place}]" + (f".{name}" if name else ""), said)
        self.faults = faults


def put_prices(actor: Actor, value: Json, reason: Json = "", *, of: int | None = None) -> PriceList | None:
    """Make the next version of the tenant's prices, which holds for calls of models that begin from now on; what is
    recorded stays as it was priced. ``of`` is the number of the version that was looked at (0: none).

    Returns the version that holds: the old one where nothing differs, None while there is none and nothing was given.
    Raises Forbidden (admins configure), Invalid, and Conflict where another version holds by now.
    """
    access.require(actor, "admin")
    if not isinstance(reason, str) or len(reason) > 500 or "\x00" in reason:
        raise Invalid("reason", "must be at most 500 characters, without NUL")
    listed = checked(value)
    with transaction.atomic():
        # One after the other: numbers are dense, and each is somebody's.
        Tenant.objects.select_for_update(no_key=True).get(pk=actor.tenant.pk)
        last = prices.current(actor.tenant.id)
        number = last.number if last else 0
        if of is not None and of != number:
            raise Conflict(f"Version {of} of the prices is not the current one any more: {number} is. Look again.")
        before = last.prices if last else []
        if before == listed:
            return last
        made = PriceList.objects.create(
            tenant=actor.tenant, number=number + 1, prices=listed, author_name=actor.name[:200], reason=reason.strip()
        )
        audit.record(
            actor, "tenant.prices", "tenant", actor.tenant.id, number=made.number, reason=made.reason,
            before=before, after=listed,
        )  # fmt: skip
    return made


def checked(value: Json) -> list[dict[str, Json]]:
    """The list as it is kept: by model, prices as decimal texts. Raises Invalid, Faulty with all that is wrong."""
    if not isinstance(value, list):
        raise Invalid("prices", "must be a list of prices")
    if len(value) > MOST:
        raise Invalid("prices", f"are {len(value):,}; a list has at most {MOST}: put models together with * at the end")
    faults = [(place, name, said) for place, entry in enumerate(value) for name, said in _faults(entry)]
    names = [str(entry["model"]).strip() for entry in value] if not faults else []
    faults += [
        (place, "model", f"{name} is in the list twice; keep one of them")
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    if faults:
        raise Faulty(faults)
    kept = [
        {"model": name, **{kind: _kept(entry.get(kind)) for kind in KINDS}}
        for name, entry in zip(names, value, strict=True)
    ]
    return sorted(kept, key=lambda entry: str(entry["model"]))


def _faults(entry: Json) -> Iterator[tuple[str, str]]:
    """What is wrong with one price: (field, words)."""
    if not isinstance(entry, dict):
        yield "", "must be an object with model, input, output and cached"
        return
    for name in list(entry)[:20]:
        if name not in ("model", *KINDS):
            yield str(name)[:40], "is no part of a price; it has model, input, output and cached"
    name = entry.get("model")
    if not isinstance(name, str) or not name.strip():
        yield "model", "must be the name of a model, such as gpt-4o-mini, or gpt-4o* for all that begin so"
    elif len(name) > LONGEST or _CONTROL.search(name) or not _encodable(name):
        yield "model", f"must be at most {LONGEST} characters, without control characters"
    elif "*" in name.strip()[:-1]:
        yield "model", "may have a * at its end only: it stands for all that begin so"
    for kind in KINDS:
        if kind == "cached" and entry.get(kind) in (None, ""):
            continue
        said = _amount_fault(entry.get(kind))
        if said:
            yield kind, said


def _amount_fault(value: Json) -> str:
    wanted = f"must be US dollars for a million tokens, such as 0.15: 0 to {DEAREST:,}, with at most six decimals"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return wanted
    text = str(value)
    if (
        isinstance(value, float) and "e" in text and abs(value) < 1
    ):  # 1e-06 is how Python writes what JSON has as 0.000001
        text = format(Decimal(text), "f")
    text = text.strip()
    return "" if _AMOUNT.fullmatch(text) and Decimal(text) <= DEAREST else wanted


def _kept(value: Json) -> str | None:
    """A checked amount as it is kept: 0.15 however it was written; None for none."""
    if value is None or value == "":
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation as error:  # checked before
        raise Invalid("prices", f"{value!r} is no number") from error
    return format(amount.normalize() + 0, "f")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
