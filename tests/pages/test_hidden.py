"""What an organisation hides is nowhere: every page and every call of the API is walked, and a canary looked for.

SECRET is in titles, inputs, prompts, answers, arguments, results, refusals and last words of runs; nobody to whom contents
are not shown may find it anywhere. WAITS is in a request that waits for a person. One kind of place is allowed to have it,
and only for reviewers: the queue and the request itself, as a page and in the API. They must see what they are to decide
about (approvals/showing.py); operators, who never decide, must not.

The same of what leaves the house is in tests/approvals/notices/test_hidden.py, of sockets in tests/live.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from django.urls import get_resolver

from console.live.facts import Facts, Filters
from console.runs import actions as runs
from console.runs import feed
from console.runs.models import Run, TopicEvent
from console.tenants import crypto, display, display_actions
from tests.api.test_common import CALLS, UUID
from tests.api.test_workflows import TEAM
from tests.approvals.desk import BODY, Desk, make_desk, refund
from tests.forked import put
from tests.pages.test_glass import talk
from tests.world import Member, World

SECRET, WAITS = "Quetzalcoatl", "Xochimilco"
DECIDES = re.compile(r"/(queue|api/v1/approvals)/")  # where a reviewer sees what waits


@pytest.fixture
def desk(db: None, world: World) -> Desk:
    """Northwind's refund desk, with a team that pages can draw."""
    return make_desk(world.northwind, {**BODY, "team": TEAM})


@pytest.fixture
def place(desk: Desk) -> dict[str, list[str]]:
    """What the addresses are filled with."""
    steps = [
        replace(step, request=_put(step.request), result=_put(step.result), error=None) for step in talk(answer=SECRET)
    ]
    failed = put(desk, steps, "failed", "model_error", f"The model said {SECRET}.")
    waiting, [request] = desk.waiting(
        refund(title=f"Refund {WAITS}", arguments={"order": WAITS, "amount": 40.0}, evidence={"seen": WAITS})
    )
    _, [decided] = desk.waiting(
        refund(n=1, title=f"Refund {SECRET}", arguments={"order": SECRET, "amount": 41.0}, evidence={"seen": SECRET})
    )
    flying, house = desk.start(), desk.house
    assert house.reviewer.client.get(f"/queue/{decided.pk}/").status_code == 200
    desk.decide(house.reviewer, decided, "edit", arguments={"order": f"{SECRET}-2", "amount": 39.0})
    case = {"name": "one", "input": SECRET, "stubs": {"issue_refund": {"result": SECRET}}}
    kept = house.admin.api.put("/api/v1/workflows/refund-desk/smoke", {"cases": [case]})
    assert kept.status_code == 200, kept.content
    with house.scope():
        assert runs.claim(flying.pk, "test") is not None
        Run.objects.update(title=f"About {SECRET}", sealed_input=crypto.seal_json(house.tenant.id, "run.input", SECRET))
        Run.objects.filter(pk=failed.pk).update(sealed_result=crypto.seal_json(house.tenant.id, "run.result", SECRET))
        for run, word in ((failed, SECRET), (waiting, WAITS)):
            said = {"source": "payer", "type": "TextMessage", "content": word, "index": 0}
            feed.publish(house.tenant.id, feed.run_topic(run.pk), "message", said, index=0)
        answer = {
            "runs": [{"id": str(failed.pk), "workflow": "refund-desk"}],
            "refused": [{"workflow": "refund-desk", "message": f"'{SECRET}' is no number"}],
        }
        event = TopicEvent.objects.create(
            tenant=house.tenant, topic_type="support_ticket", source="s", event_id="e-1",
            sealed_answer=crypto.seal_json(house.tenant.id, "topic.answer", answer),
        )  # fmt: skip
    return {
        "run_id": [str(failed.pk), str(waiting.pk), str(flying.pk)],
        "request_id": [str(request.pk), str(decided.pk)],
        "slug": ["refund-desk"],
        "name": ["model_error", "default"],
        "seq": ["1", "2", "4"],
        "index": ["0"],
        "key": [str(event.pk), UUID],
        "user_id": [str(house.reviewer.user.id)],
        "standing_id": [UUID],
    }


def _put(value: Any) -> Any:
    """The canary in the place of everything that is personal in the run of test_glass."""
    return json.loads(json.dumps(value).replace("me@x.example", SECRET).replace("open", SECRET)) if value else value


def pages(place: dict[str, list[str]]) -> list[str]:
    """Every address of the product with everything to fill it with."""
    found = []
    for pattern in get_resolver().url_patterns:
        route = str(pattern.pattern)
        if route.startswith(("api/", "readyz", "metrics")) or "logout" in route or not hasattr(pattern, "callback"):
            continue
        filled = [f"/{route}"]
        for name in re.findall(r"<(?:\w+:)?(\w+)>", route):
            filled = [re.sub(rf"<(?:\w+:)?{name}>", value, one) for one in filled for value in place[name]]
        found += filled
    first, second, _ = place["run_id"]
    found += [f"/runs/{first}/?{query}" for query in ("step=1", "step=2", "step=4", "at=1", "at=4", "messages=all")]
    found += [
        f"/runs/compare/?a={first}&b={second}&scope=payer/model&n=2", f"/runs/{first}/fork/?from_step=1", "/queue/?whose=all",
        "/operations/?kind=message", f"/people/looking/decisions/?only=&days=7&run={first}", "/runs/?sort=cost",
    ]  # fmt: skip
    return found


def calls(place: dict[str, list[str]]) -> list[str]:
    """Every reading call of the API."""
    waiting, decided = place["request_id"]
    found = []
    for method, address, _, _ in CALLS:
        if method != "get":
            continue
        for run, request in zip(place["run_id"], (waiting, decided, decided), strict=True):
            names = {name: UUID for name in re.findall(r"{(\w+)}", address)}
            names |= {"run": run, "ended": run, "request": request}
            found.append(f"/api/v1/{address.format(**names)}")
    return [*dict.fromkeys(found)]


def walk(who: Member, place: dict[str, list[str]]) -> tuple[list[str], list[str], int]:
    """Where SECRET is found, where WAITS is, and how many places answered."""
    secret, waits, answered = [], [], 0
    for address in [*pages(place), *calls(place)]:
        client = who.api if address.startswith("/api/") else who.client
        answer = client.get(address)
        assert answer.status_code < 500, (address, answer.content[:2000])
        answered += answer.status_code == 200
        text = b"".join(answer).decode() if answer.streaming else answer.content.decode()
        secret += [address] if SECRET in text else []
        waits += [address] if WAITS in text else []
    return secret, waits, answered


def test_what_is_hidden_is_nowhere(desk: Desk, place: dict[str, list[str]]) -> None:
    house = desk.house
    with house.scope():
        display_actions.put(house.admin.actor, "admins", [], [])
    secret, waits, answered = walk(house.operator, place)
    assert (secret, waits) == ([], []) and answered > 80, answered
    secret, allowed, answered = walk(house.reviewer, place)
    assert secret == [] and answered > 80, answered
    assert allowed and [address for address in allowed if not DECIDES.match(f"{address.partition('?')[0]}/")] == []
    assert f"/queue/{place['request_id'][0]}/" in allowed and f"/api/v1/approvals/{place['request_id'][0]}" in allowed
    mine, _, _ = walk(house.admin, place)
    assert len(mine) > 30, mine  # the walk does come by where it would be


def test_to_reviewers_what_is_shown_to_reviewers(desk: Desk, place: dict[str, list[str]]) -> None:
    house = desk.house
    with house.scope():
        display_actions.put(house.admin.actor, "reviewers", [], [])
    decided = f"/queue/{place['request_id'][1]}/"
    assert SECRET in house.reviewer.client.get(decided).content.decode()
    page = house.operator.client.get(decided).content.decode()
    assert (
        SECRET not in page
        and "Hidden by your organisation" in page
        and "Title hidden" in page
        or "title hidden" in page
    )
    said = house.operator.api.get(f"/api/v1/approvals/{place['request_id'][1]}").json()
    assert (said["arguments"], said["content"], said["decision"]["arguments"]) == (None, {}, None) and said["hidden"]


def test_what_is_blotted_out_is_so_in_lists_and_requests(desk: Desk, place: dict[str, list[str]]) -> None:
    house = desk.house
    with house.scope():
        display_actions.put(
            house.admin.actor, "everyone", [], [{"name": "name", "pattern": rf"{SECRET[:5]}\w+|{WAITS[:4]}\w+"}]
        )
    secret, waits, _ = walk(house.operator, place)
    assert (secret, waits) == ([], [])
    assert "[name hidden]" in house.operator.client.get("/runs/").content.decode()
    assert WAITS in house.reviewer.client.get(f"/queue/{place['request_id'][0]}/").content.decode()


def test_nobody_finds_by_looking_what_is_hidden(desk: Desk, place: dict[str, list[str]], world: World) -> None:
    house = desk.house
    with house.scope():
        display_actions.put(house.admin.actor, "reviewers", [], [])
    page = house.operator.client.get("/runs/?q=About").content.decode()
    assert "looks in titles" in page and page.count("Title hidden") >= 3
    assert page.count("Title hidden") == house.operator.client.get("/runs/?q=nothing").content.decode().count(
        "Title hidden"
    )
    answer = house.operator.client.get("/operations/?text=quetz")
    assert answer.status_code == 422 and "looks in titles" in answer.content.decode()
    assert SECRET in house.reviewer.client.get("/runs/?q=About").content.decode()
    facts = Facts(1, "r", "w", "About it", "status", "", "", "", "running", "", "", None, "")
    assert Filters(text="about").let(facts) and not Filters(text="about", untitled=True).let(facts)


def test_nobody_finds_by_looking_what_is_blotted_out(desk: Desk, place: dict[str, list[str]]) -> None:
    house = desk.house

    def found(page: str, words: str) -> bool:
        answer = house.operator.client.get(page.format(words))
        assert answer.status_code == 200
        # What is in flight stands above the list whatever is looked for.
        return "name hidden" in answer.content.decode().rpartition('id="events"')[2]

    with house.scope():
        display_actions.put(house.admin.actor, "everyone", [], [{"name": "name", "pattern": rf"{SECRET[:5]}\w+"}])
    for page in ("/runs/?q={}", "/operations/?text={}"):
        assert not any(found(page, guess) for guess in (SECRET, SECRET[:3], SECRET[3:].lower())), page
        assert found(page, "aBOUT"), page


def test_titles(world: World) -> None:
    house = world.northwind
    with house.scope():
        display_actions.put(house.admin.actor, "admins", [], [])
        shown = display.of(house.operator.actor)
    assert (shown.title("x"), shown.title(""), shown.words("x"), shown.words("")) == (
        "Title hidden",
        "",
        display.HIDDEN,
        "",
    )
