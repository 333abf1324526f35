"""Every page by axe's rules, wide and light, then narrow and dark: what axe calls serious or critical is a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.utils import timezone
from playwright.sync_api import Page, expect

from approvals import actions
from console.runs.models import TopicEvent
from tests.agents.stage import agent, team
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.world import Member, World

Visit = Callable[..., Page]
# Axe reads every colour anew for every element behind every word, which is half of its time: there are only a few dozen.
READ_ONCE = """(() => {
  const colour = axe.commons.color.Color, read = colour.prototype.parseString, known = new Map();
  colour.prototype.parseString = function (text) {
    if (!known.has(text)) known.set(text, read.call(new colour(), text));
    const { r, g, b, alpha } = known.get(text);
    return Object.assign(this, { r, g, b, alpha });
  };
})()"""
Look = tuple[int, int, str]  # width, height, colour scheme
WIDE: Look = (1440, 900, "light")
NARROW: Look = (390, 844, "dark")


def looks(page: Page, *each: Look) -> Iterator[int]:
    """Show the page in each look, one after the other, and yield the width: what it loads is the same in all of them."""
    for width, height, scheme in each or (WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        yield width


def faults(page: Page) -> list[tuple[str, str, str]]:
    """What is wrong: (rule, what axe says of it, the element)."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
        page.evaluate(READ_ONCE)
    found: list[Any] = page.evaluate("axe.run({resultTypes: ['violations']}).then(found => found.violations)")
    return [
        (violation["id"], node["failureSummary"], node["html"])
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("admins", [False, True])
def test_every_page_can_be_used_by_everybody(desk: Desk, world: World, visit: Visit, admins: bool) -> None:
    """In two halves, which take about the same time."""
    run, [request, question] = desk.waiting(refund(40.0, risk="high"), asking("question", question="Which one?"))
    _, [rejected] = desk.waiting(refund(50.0))
    desk.decide(world.northwind.reviewer2, rejected, "reject", reason="Not within policy 4.2")
    _talk(world)
    event = _event(world)
    with world.northwind.scope():
        end = timezone.now() + timedelta(days=1)
        standing = actions.grant(
            world.northwind.reviewer.actor, request.pk, scope="run", same="tool", expires_at=end, reason="small"
        )
        actions.claim(world.northwind.reviewer.actor, request.pk)
    ids = [str(each.pk) for each in (run, request, question, rejected, standing)]
    wrong: dict[tuple[str, int], list[tuple[str, str, str]]] = {}
    for who, paths in _pages(world, *ids, event):
        if (who is world.northwind.admin) is not admins:
            continue
        page = visit(who, paths[0])
        for path in paths:
            page.goto(path)
            expect(page.locator("h1").first).to_be_visible()
            page.evaluate("document.querySelectorAll('.hand .pop').forEach(each => { each.open = true; })")
            for width in looks(page):
                if found := faults(page):
                    wrong[path, width] = found
    assert not wrong, "\n".join(f"{where}: {fault}" for where, found in wrong.items() for fault in found)


def test_a_fault_would_be_found(world: World, visit: Visit) -> None:
    page = visit(None, "/login/")
    page.evaluate("document.querySelector('label').remove(); document.querySelector('p').style.color = '#ddd'")
    assert {"color-contrast", "label"} <= {rule for rule, _, _ in faults(page)}


def _talk(world: World) -> None:
    """A workflow with two revisions, one of which is tried."""
    api = world.northwind.admin.api
    api.post("/api/v1/workflows", {"slug": "talk", "name": "Talk"})
    for members in (["a"], ["a", "b"]):
        body = {
            "team": team("RoundRobinGroupChat", *[agent(name) for name in members]),
            "limits": {"max_turns": len(members)},
            "topics": ["support_ticket", "billing_*"],
        }
        made = api.post("/api/v1/workflows/talk/revisions?promote=" + str(members == ["a"]).lower(), body)
        assert made.status_code == 201, made.content
    assert api.post("/api/v1/workflows/talk/canaries", {"revision": 2, "share": 10}).status_code == 201
    case = {"name": "says hello", "input": "Hello", "expect": {"tools": []}}
    assert api.put("/api/v1/workflows/talk/smoke", {"required": True, "cases": [case]}).status_code == 200
    assert api.post("/api/v1/workflows/talk/revisions/2/smoke-tests").status_code == 202


def _event(world: World) -> str:
    """The id of an event that started a run, and was refused by a workflow that takes other data."""
    house = world.northwind
    make_desk(house, {"team": {}, "topics": ["billing_*"], "input_schema": {"type": "object"}}, "strict")
    body = {"id": "INV-2041", "source": "erp/invoices", "data": "It was charged twice"}
    assert house.operator.api.post("/api/v1/topics/billing_invoice/events", body).status_code == 202
    with house.scope():
        return str(TopicEvent.objects.get().pk)


def _pages(
    world: World, run: str, request: str, question: str, rejected: str, standing: str, event: str
) -> list[tuple[Member | None, list[str]]]:
    house = world.northwind
    return [
        (None, ["/login/"]),
        (
            house.reviewer,
            [
                "/queue/",
                f"/queue/{request}/",
                f"/queue/{request}/?edit=1",
                f"/queue/{question}/",
                f"/queue/{rejected}/",
                "/queue/?kind=final",
                f"/queue/{request}/like/",
                "/standing/",
                f"/standing/{standing}/",
                "/you/",
                "/you/password/",
                "/runs/new/",
            ],
        ),
        (
            house.operator,
            [
                "/runs/",
                "/runs/?status=failed",
                f"/runs/{run}/",
                "/runs/new/?workflow=refund-desk",
                "/events/",
                "/events/?type=none",
                f"/events/{event}/?said=again",
                "/events/new/",
                "/nowhere/",
            ],
        ),
        (
            house.admin,
            [
                "/workflows/",
                "/workflows/refund-desk/",
                "/credentials/",
                "/limits/",
                "/rules/",
                "/workflows/talk/rules/",
                "/hours/",
                "/channels/",
                "/limits/talk/",
                "/workflows/talk/",
                "/tools/",
                "/workflows/import/",
                "/workflows/talk/compare/?from=1&to=2",
                "/workflows/talk/canary/",
                "/workflows/talk/behaviour/",
                "/workflows/refund-desk/waivers/",
                "/workflows/talk/smoke/",
                "/workflows/talk/hears/",
                "/audit/",
                "/people/",
                f"/people/{house.reviewer.user.id}/",
                "/groups/finance/",
            ],
        ),
    ]
