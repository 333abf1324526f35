"""What models cost, over HTTP: the organisation's list, and what its runs have asked lately. Admins change it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from console.runs import models_used
from console.tenants.access import actor_of
from console.tenants.problems import problem
from console.workflows import price_actions, prices
from console.workflows.models import PriceList

Json = Any
router = Router(tags=["prices"])


class PricesIn(Schema):
    """The whole list. A price is ``{"model", "input", "output", "cached"}``: US dollars for a million tokens, as numbers or
    decimal texts; ``model`` is a name, or its beginning with ``*``; without ``cached`` those cost what any asked cost.
    With ``version``, nothing is made when another holds by now."""

    model_config = ConfigDict(extra="forbid")

    prices: Json
    reason: Json = ""
    version: Annotated[int, Field(ge=0, le=2_000_000_000)] | None = None


class PriceOut(Schema):
    model: str
    input: str
    output: str
    cached: str | None


class UsedOut(Schema):
    """A model of the newest runs. ``by`` names the list that prices it now, empty where nobody knows it; the prices are
    texts, with what holds from more tokens on."""

    model: str
    calls: int
    input: str | None
    output: str | None
    cached: str | None
    by: str


class PricesOut(Schema):
    """``version`` is 0 while the organisation has made no list of its own."""

    version: int
    prices: list[PriceOut]
    author: str
    reason: str
    at: datetime | None
    used: list[UsedOut]


@router.get("/prices", response=PricesOut, summary="What models cost, the organisation's own prices first")
def get_prices(request: HttpRequest) -> Any:
    tenant_id = actor_of(request).tenant.id
    return _out(prices.current(tenant_id), tenant_id)


@router.put(
    "/prices", response=PricesOut, summary="Set the organisation's own prices, for calls that begin from now on"
)
def put_prices(request: HttpRequest, body: PricesIn) -> Any:
    actor = actor_of(request)
    try:
        made = price_actions.put_prices(actor, body.prices, body.reason, of=body.version)
    except price_actions.Faulty as faulty:
        errors = [
            {"field": f"prices[{place}]" + (f".{name}" if name else ""), "message": said}
            for place, name, said in faulty.faults[:50]
        ]
        return problem(422, "These prices cannot be used; nothing was changed.", errors=errors)
    return _out(made, actor.tenant.id)


def _out(held: PriceList | None, tenant_id: Any) -> dict[str, Json]:
    own = prices.NO_LIST if held is None else prices.table(held)
    return {
        "version": own.number,
        "prices": [] if held is None else held.prices,
        "author": "" if held is None else held.author_name,
        "reason": "" if held is None else held.reason,
        "at": None if held is None else held.at,
        "used": [used.out() for used in models_used.of(tenant_id, own)],
    }
