"""What models cost: the organisation's list, what is in it, when it holds, and what is recorded of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from genai_prices import Usage, calc_price

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console.agents import documents as governed
from console.agents.room import Price
from console.audit.models import AuditRecord
from console.demo import documents
from console.durable.steps import Kind, Status, Step
from console.hosting import pricing
from console.hosting.database import Database
from console.hosting.pricing import PriceLists
from console.runs import models_used, totals
from console.runs.models import Step as Row
from console.tenants import actions as tenant_actions
from console.tenants.access import Forbidden
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import catalogue, price_actions, prices
from console.workflows.errors import Conflict, Invalid
from console.workflows.models import PriceList
from tests.demo.server import serving

from .conftest import House, join, make_house
from .turns import Worker

USED = {"input_tokens": 1_000_000, "output_tokens": 100_000, "cached_tokens": 400_000}


def put(house: House, *listed: Any, **options: Any) -> PriceList | None:
    with tenant_scope(house.tenant):
        return price_actions.put_prices(house.admin, list(listed), **options)


def entry(model: str, input: Any = "2", output: Any = "10", cached: Any = "0.5") -> dict[str, Any]:
    return {"model": model, "input": input, "output": output, "cached": cached}


def table(house: House) -> prices.PriceTable:
    with system_scope("test"):
        return prices.numbered(house.tenant.id, prices.newest(house.tenant.id))


def test_the_own_list_goes_first_and_the_longest_name_that_fits_holds(house: House) -> None:
    put(house, entry("gpt-4o*"), entry("gpt-4o-mini", 1, 1, None), entry("gpt*", 9, 9, 9), entry("free", 0, 0, 0))
    own = table(house)
    by = f"{house.tenant.slug} 1"
    # 0.6 million at 2, 0.4 at 0.5, 0.1 answered at 10
    assert own.of("gpt-4o-2024", USED) == Price("2.400000", by)
    assert own.of("gpt-4o-mini", USED) == Price("1.100000", by)  # cached costs what any asked cost
    assert own.of("gpt-3", USED) == Price("9.900000", by)
    assert own.of("free", USED) == Price("0.000000", by)
    published = own.of("o3", USED)
    assert published is not None and published.by == prices.publisher()
    assert own.of("nobody-knows-this", USED) is None
    assert own.of("gpt-4o", {"missing": "absent"}) is None


@pytest.mark.parametrize(
    "model", ["gpt-4o-mini", "gpt-4o", "gpt-4", "o3", "claude-sonnet-4-5", "gemini-2.5-pro", "grok-4"]
)
@pytest.mark.parametrize("asked", [7, 1_000, 199_999, 200_001])
@pytest.mark.parametrize("share", [0, 3])
def test_published_prices_come_to_what_genai_prices_says(model: str, asked: int, share: int) -> None:
    cached = asked * share // 4
    used = {"input_tokens": asked, "output_tokens": 321, "cached_tokens": cached}
    theirs = calc_price(Usage(input_tokens=asked, output_tokens=321, cache_read_tokens=cached), model_ref=model)
    ours = prices.NO_LIST.of(model, used)
    assert ours is not None and abs(Decimal(ours.cost) - theirs.total_price) <= Decimal("0.0000005")


NONSENSE: list[tuple[Any, str]] = [
    ("x", "prices"),
    ({"model": "m"}, "prices"),
    ([entry(f"m{n}") for n in range(501)], "prices"),
    ([[]], "prices[0]"),
    ([entry("")], "prices[0].model"),
    ([entry("   ")], "prices[0].model"),
    ([entry("a\x00b")], "prices[0].model"),
    ([entry("a\ud800")], "prices[0].model"),
    ([entry("m" * 201)], "prices[0].model"),
    ([entry("g*t")], "prices[0].model"),
    ([entry("**")], "prices[0].model"),
    ([{**entry("m"), "model": 7}], "prices[0].model"),
    ([{**entry("m"), "currency": "EUR"}], "prices[0].currency"),
    ([entry("m"), entry(" m ")], "prices[1].model"),
    *[
        ([entry("m", amount)], "prices[0].input")
        for amount in (
            -1, "-1", "-0", float("nan"), "NaN", "1e999", float("inf"), "Infinity", "1e3", 10_001, "10000.01", None, "",
            True, [], {}, "1,5", "1 2", "٣", "0.0000001", "9" * 400, "\x00", 10**400,
        )
    ],
    ([entry("m", 1, 1, "x")], "prices[0].cached"),
    ([{"model": "m", "input": 1}], "prices[0].output"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "field"), NONSENSE)
def test_nonsense_is_refused_by_its_place(value: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        price_actions.checked(value)
    assert refused.value.field == field and refused.value.message


def test_amounts_are_kept_in_one_form() -> None:
    [kept] = price_actions.checked([entry(" m* ", 0.000001, "00010.500000", 10_000)])
    assert kept == {"model": "m*", "input": "0.000001", "output": "10.5", "cached": "10000"}
    assert price_actions.checked([entry("m", 0, "0.00", "")])[0] == entry("m", "0", "0", None)


def test_versions_audit_roles_and_the_wall(house: House) -> None:
    first = put(house, entry("m"), reason=" a contract ")
    assert first is not None and (first.number, first.reason) == (1, "a contract")
    same = put(house, entry("m", 2.0, "10.0", 0.5))
    assert same is not None and same.number == 1  # nothing differs
    second = put(house, of=1)
    assert second is not None and (second.number, second.prices) == (2, [])
    with pytest.raises(Conflict, match="2 is"):
        put(house, entry("m"), of=1)
    for reason in ("x" * 501, "\x00", 7):
        with pytest.raises(Invalid, match="reason"):
            put(house, entry("z"), reason=reason)
    with tenant_scope(house.tenant):
        with pytest.raises(Forbidden):
            price_actions.put_prices(house.operator, [])
        entries = AuditRecord.objects.filter(action="tenant.prices").order_by("at")
        assert [each.detail["number"] for each in entries] == [1, 2]
        assert entries[1].detail["before"] == [entry("m")] and entries[1].detail["after"] == []
    other = make_house()
    with tenant_scope(other.tenant):
        assert prices.current(other.tenant.id) is None and not PriceList.objects.exists()
        assert prices.current(house.tenant.id) is None


def test_two_admins_at_once_make_two_versions(house: House) -> None:
    gate = threading.Barrier(2)

    def write(model: str) -> None:
        gate.wait()
        put(house, entry(model))
        connection.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tenant_scope(house.tenant):
        assert sorted(PriceList.objects.values_list("number", flat=True)) == [1, 2]


def test_a_process_looks_again_when_it_has_not_for_a_while(house: House) -> None:
    now = [0.0]
    database = Database(1)
    lists = PriceLists(database, lambda: now[0])

    def number() -> int:
        return asyncio.run(lists.of(house.tenant.id)).number

    try:
        assert number() == 0
        put(house, entry("m"))
        assert number() == 0  # believed for a moment, without a query
        now[0] = pricing.LIFE
        assert number() == 1
        lists.seen(house.tenant.id, prices.NO_LIST)  # what a slower look had found before
        assert number() == 1
        put(house, entry("m"), entry("n"))
        lists.seen(house.tenant.id, table(house))  # as a claim has
        assert number() == 2
    finally:
        database.close()


def test_a_run_without_a_price_for_its_last_answer_says_so() -> None:
    def step(**facts: Any) -> Step:
        given: dict[str, Any] = {"status": Status.DONE, "usage": {"input_tokens": 1, "output_tokens": 1}, **facts}
        return Step("a", 1, Kind.MODEL, 1, "d", None, None, **given)  # type: ignore[arg-type]

    failed, answered = {"cause": "timeout", "cost": "0.1"}, {"cause": None}
    assert totals.is_unpriced(step())
    assert totals.is_unpriced(
        step(usage={"missing": "absent"}, cost="0.1", attempts=[failed, {**answered, "cost": "1"}])
    )
    assert totals.is_unpriced(step(cost="0.1", attempts=[failed, answered]))
    assert not totals.is_unpriced(step(cost="0.1", attempts=[failed, {**answered, "cost": "0"}]))
    assert not totals.is_unpriced(step(cost="0.1"))  # older ones tell of no tries
    assert not totals.is_unpriced(step(cost="0.1", attempts=[answered]))
    assert not totals.is_unpriced(step(usage=None))


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    with serving() as address:
        yield f"{address}/v1"


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("one")
    yield made
    made.close()


def lend(house: House, url: str, settings: Any, **more: Any) -> None:
    """The demo's refund desk, with the demo's model behind its credential."""
    settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
    with tenant_scope(house.tenant):
        for name in ("default", *more.pop("credentials", ())):
            tenant_actions.put_credential(house.admin, name, provider="demo", base_url=url, api_key=f"k-{uuid4().hex}")
    [body] = [each.body for each in documents.WORKFLOWS if each.slug == "refund-desk"]
    team, findings = governed.examine(body["team"], body["tools"], catalogue.all())
    assert team is not None, findings
    house.revise({**body, "team": team, **more})


def models_of(house: House, run: Any) -> list[Row]:
    with tenant_scope(house.tenant):
        return list(Row.objects.filter(run=run, kind="model").order_by("seq"))


def test_a_list_made_while_a_run_is_parked_holds_when_it_goes_on(
    house: House, worker: Worker, model_url: str, settings: Any
) -> None:
    lend(house, model_url, settings)
    run = house.start("Refund order A-1001, 250 EUR, it arrived broken")
    assert worker.advance(run.id)
    parked = house.run(run)
    assert parked.status == "waiting" and parked.resume_s == 0 and parked.unpriced_steps == 0
    before = models_of(house, run)
    assert {each.priced_by for each in before} == {prices.publisher()}
    assert all("cached_tokens" in each.usage and each.cost is not None for each in before)
    assert any(each.usage["cached_tokens"] for each in before)
    streamed = [each for each in before if each.first_token_at]
    assert streamed and all(each.started_at <= each.first_token_at <= each.ended_at for each in streamed)
    put(house, entry("gpt-4o-mini", 0, 0, 10_000))
    reviewer = join(house.tenant)
    with tenant_scope(house.tenant):
        approvals.decide(reviewer, ApprovalRequest.objects.get(run=run).pk, "approve")
    assert worker.advance(run.id)
    after = models_of(house, run)
    assert [(each.cost, each.priced_by) for each in after[: len(before)]] == [(b.cost, b.priced_by) for b in before]
    later = after[len(before) :]
    assert later and {each.priced_by for each in later} == {f"{house.tenant.slug} 1"}
    for each in later:
        assert each.cost == Decimal(each.usage["cached_tokens"]) / 100
    ended = house.run(run)
    assert ended.resume_s > 0 and ended.cost == sum(each.cost for each in after)
    own = table(house)
    with tenant_scope(house.tenant), CaptureQueriesContext(connection) as queries:
        [used] = models_used.of(house.tenant.id, own)
    assert len(queries) == 1 and used.calls == len(after) and used.out()["by"] == f"{house.tenant.slug} 1"


def test_a_fallback_is_priced_by_its_own_name(house: House, worker: Worker, model_url: str, settings: Any) -> None:
    lend(house, model_url, settings, fallbacks=[{"credential": "second", "model": "house-2"}], credentials=["second"])
    with tenant_scope(house.tenant):
        tenant_actions.put_credential(house.admin, "default", provider="demo", base_url=model_url, api_key="revoked")
    put(house, entry("house-2", 1, 1, 1))
    run = house.start("Refund order A-1001, 250 EUR, it arrived broken")
    assert worker.advance(run.id)
    for each in models_of(house, run):
        assert each.attempts[-1]["model"] == "house-2" and each.priced_by == f"{house.tenant.slug} 1"
        assert each.cost == Decimal(each.usage["input_tokens"] + each.usage["output_tokens"]) / 1_000_000


def test_usage_that_nobody_told_leaves_a_run_unpriced(
    house: House, worker: Worker, model_url: str, settings: Any
) -> None:
    lend(house, model_url, settings)
    run = house.start("Refund order A-1001, 250 EUR, simulate odd usage")
    assert worker.advance(run.id)
    steps = models_of(house, run)
    assert steps and all(each.cost is None and each.usage["missing"] == "nonsense" for each in steps)
    assert house.run(run).unpriced_steps == len(steps) and house.run(run).cost == 0
