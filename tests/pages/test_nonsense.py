"""Every form of the pages about oversight, filled with what nobody means: said on the page, never a 5xx, nothing written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import get_resolver
from django.utils import timezone

from approvals import actions as approvals
from console.audit.models import AuditRecord
from telemetry.alerts import actions as alerts
from tests.approvals.desk import asking, make_desk, refund
from tests.nonsense import MORE, TEXTS, some
from tests.pages.test_forms import FORMS as CONFIGURING
from tests.workflows.waiving import ASSESSMENT, waive
from tests.world import World

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
LATER = "2027-01-15T12:00"
DAYS = {f"{day}_{end}": "" for day in ("tue", "wed", "thu", "fri", "sat", "sun") for end in ("from", "to")}
WORDS = {"reason": "why", "digest": "", "answer": "", "arguments": "{}", "form": "", "result": "", "arg.amount": "1"}
# (name of the address, who, what fills it, a form that is right)
FORMS: list[tuple[str, str, str, dict[str, str]]] = [
    ("queue-decide", "reviewer", "request", {**WORDS, "verdict": "approve"}),
    ("queue-decide", "reviewer", "request", {**WORDS, "verdict": "reject"}),
    ("queue-decide", "reviewer", "request", {**WORDS, "verdict": "escalate"}),
    ("queue-decide", "reviewer", "request", {**WORDS, "verdict": "terminate"}),
    ("queue-decide", "reviewer", "request", {**WORDS, "verdict": "edit", "arg.order": "A-17", "arg.customer": "I"}),
    ("queue-decide", "reviewer", "request",
     {**WORDS, "verdict": "edit", "form": "json", "arguments": '{"order": "A-17", "amount": 2}'}),
    ("queue-decide", "reviewer", "loose", {**WORDS, "verdict": "edit", "arg.note": "n", "arg.size": "1", "arg.lines": "[]"}),
    ("queue-decide", "reviewer", "loose", {**WORDS, "verdict": "edit", "form": "json", "arguments": '{"note": 2}'}),
    ("queue-decide", "reviewer", "question", {**WORDS, "verdict": "respond", "answer": "Blue"}),
    ("queue-decide", "reviewer", "doubt", {**WORDS, "verdict": "respond", "answer": "happened", "result": "{}"}),
    ("queue-decide", "reviewer", "final", {**WORDS, "verdict": "edit", "answer": "Better"}),
    ("queue-hand", "reviewer", "request", {"do": "claim"}),
    ("queue-hand", "reviewer", "request", {"do": "take"}),
    ("queue-hand", "reviewer", "request", {"do": "release"}),
    ("queue-hand", "reviewer", "request", {"do": "assign", "to": "reviewer2.northwind"}),
    ("queue-hand", "reviewer", "request", {"do": "comment", "text": "@reviewer2.northwind look"}),
    ("queue-hand", "reviewer", "request", {"do": "snooze", "for": "hour"}),
    ("queue-hand", "reviewer", "request", {"do": "wake"}),
    ("queue-hand", "reviewer", "request",
     {"do": "standing", "like": "run-call", "until": LATER, "zone": "Europe/Oslo", "standing_reason": "r"}),
    ("queue-like", "reviewer", "request", {"id": "{request}", "verdict": "reject", "reason": "r", "digest-{request}": "d"}),
    ("queue-views", "reviewer", "", {"name": "n", "filters": "kind=tool&risk=high"}),
    ("queue-views", "reviewer", "", {"forget": "{view}"}),
    ("queue-seen", "reviewer", "request", {"what": "read"}),
    ("standing", "reviewer", "", {"revoke": "{standing}"}),
    ("run-fork", "operator", "run",
     {"from_step": "1", "edit": "input", "input": "Refund order A-18", "answer": "", "repeat_effects": "yes"}),
    ("run-fork", "operator", "run", {"from_step": "1", "edit": "answer", "input": "", "answer": "x", "repeat_effects": ""}),
    ("hours", "admin", "", {"zone": "Europe/Oslo", "mon_from": "09:00", "mon_to": "17:00", "holidays": "2026-12-25", **DAYS}),
    ("people", "admin", "", {"do": "invite", "username": "new", "name": "n", "email": "", "role": "admin"}),
    ("people", "admin", "", {"do": "group", "group": "new", "description": "d"}),
    ("person", "admin", "user", {"do": "role", "role": "operator"}),
    ("person", "admin", "user", {"do": "groups", "groups": "finance"}),
    ("person", "admin", "user", {"do": "away", "starts": "2027-01-15", "ends": "2027-01-16", "delegate": "reviewer2.northwind"}),
    ("person", "admin", "user", {"do": "back", "absence": "x"}),
    ("person", "admin", "user", {"do": "end"}),
    ("group", "admin", "group", {"do": "save", "description": "d"}),
    ("group", "admin", "group", {"do": "add", "username": "admin.northwind"}),
    ("group", "admin", "group", {"do": "remove", "username": "reviewer.northwind"}),
    ("group", "admin", "group", {"do": "delete"}),
    ("channels", "admin", "",
     {"name": "new", "kind": "webhook", "address": "https://8.8.8.8/x", "events": "run.ended", "groups": "finance",
      "workflows": "refund-desk", "risks": "low", "include_title": "yes", "active": "yes"}),
    ("channel", "admin", "channel", {"kind": "chat", "address": SLACK, "events": "run.ended"}),
    ("channel", "admin", "channel", {"kind": "email", "address": "a@example.com", "events": "run.ended"}),
    ("channel-do", "admin", "channel", {"do": "test"}),
    ("channel-do", "admin", "channel", {"do": "redeliver"}),
    ("delivery-redeliver", "admin", "delivery", {}),
    ("alerts", "admin", "",
     {"do": "save", "name": "n", "figure": "cost", "hours": "3", "condition": "above", "threshold": "5", "weeks": "6",
      "least": "1", "for_minutes": "5", "severity": "low", "remind_hours": "24", "active": "yes", "workflow": "refund-desk",
      "agent": "", "edit": ""}),
    ("alerts", "admin", "", {"do": "save", "name": "m", "figure": "runs", "hours": "3", "condition": "unusual",
      "edit": "{alert_rule}"}),
    ("alerts", "admin", "", {"do": "preview", "name": "n", "figure": "ended", "hours": "3", "condition": "unusual",
      "stop_reason": "budget"}),
    ("alerts", "admin", "", {"do": "off", "rule": "{alert_rule}"}),
    ("alerts", "admin", "", {"do": "delete", "rule": "{alert_rule}"}),
    ("alerts", "operator", "", {"do": "silence", "rule": "{alert_rule}", "reason": "r", "until": "own", "own": "{soon}"}),
    ("alerts", "operator", "", {"do": "wake", "silence": "{silence}"}),
    ("you", "reviewer", "", {"wants": "all"}),
    ("workflow-waivers", "admin", "", {"stage": "", "risk_assessment": ASSESSMENT, "expires_at": "2027-01-15"}),
    ("workflow-waiver", "admin", "waiver", {"do": "revoke", "why": "why"}),
    ("workflow-waiver", "admin", "waiver", {"do": "consent"}),
    ("workflow-oversight", "admin", "", {"revision": "1", "mode": "ALWAYS", "stage:a": "NEVER", "max_reviews": "3"}),
    ("rules", "admin", "", CONFIGURING["/rules/"]),
    ("rules", "admin", "",
     {**CONFIGURING["/rules/"], "do": "delete:0", "rules": '[{"name": "a", "effect": "deny"}]', "r:name": ""}),
    ("rules", "admin", "", {**CONFIGURING["/rules/"], "do": "backtest", "r:name": "", "rules": "[]"}),
    ("workflow-rules", "admin", "", {**CONFIGURING["/rules/"], "do": "try", "run": "{run}", "r:name": ""}),
    ("prices", "admin", "",
     {"model": "gpt-4o", "input": "2.5", "output": "10", "cached": "1.25", "reason": "why", "version": ""}),
    ("display", "admin", "", {"shown_to": "admins", "masks": "email", "patterns": "order: A-[0-9]+"}),
    ("retention", "admin", "", {"hours": "60", "days": "100", "sure": "60 100"}),
    ("probes", "admin", "",
     {"do": "define", "workflow": "refund-desk", "name": "twice", "tool": "issue_refund payer", "arguments": "{{}}", "task": "t",
      "why": "why", "edit_field": "", "rule": "", "per_week": "0", "catches": "reject"}),
    ("probes", "admin", "", {"do": "plant", "probe": "{run}"}),
    ("probes", "admin", "", {"do": "withdraw", "probe": "{run}"}),
]  # fmt: skip
READ: dict[str, tuple[str, ...]] = {
    "/queue/": ("after", "whose", "kind", "workflow", "group", "risk", "tool", "due", "held", "part"),
    "/queue/{request}/": ("edit", "after", "kind"),
    "/queue/{request}/like/": ("x",),
    "/runs/": ("after", "from", "to", "on", "like", "sort", "revision", "agent", "model", "tool", "topic"),
    "/runs/{run}/": ("steps", "refused", "messages", "step", "window", "at"),
    "/runs/compare/": ("a", "b", "page", "scope", "n"),
    "/insights/": ("range", "from", "to", "workflow", "by", "chart"),
    "/people/looking/": ("days",),
    "/people/looking/decisions/": ("days", "only", "day", "hour"),
    "/operations/": ("workflow", "kind", "agent", "status", "text"),
    "/runs/{run}/fork/": ("from_step",),
    "/standing/": ("after",),
    "/standing/{standing}/": ("after",),
    "/hours/": ("saved",),
    "/people/": ("q", "saved"),
    "/people/{user}/": ("saved",),
    "/groups/finance/": ("saved",),
    "/channels/": ("after",),
    "/channels/hook/": ("status", "after"),
    "/deliveries/{delivery}/": ("x",),
    "/you/": ("x",),
    "/alerts/": ("edit", "after"),
    "/rules/": ("run", "saved"),
    "/workflows/refund-desk/rules/": ("run", "saved"),
    "/workflows/refund-desk/waivers/": ("x",),
    "/workflows/refund-desk/behaviour/": ("number", "version", "x"),
    "/audit/": ("type", "object", "who", "after"),
}  # fmt: skip
LOOSE = {"type": "object", "properties": {"note": {}, "size": {"type": "number"}, "lines": {"type": "array"}}}


@pytest.fixture
def place(world: World) -> dict[str, str]:
    """A desk in which everything waits that a form can speak of."""
    desk = make_desk(world.northwind, {"team": {}, "oversight": {"mode": "NEVER"}})
    house = desk.house
    loose = refund(n=1, arguments={"note": "n", "size": 1, "lines": []}, schema=LOOSE)
    run, rows = desk.waiting(
        refund(), loose, asking("question", question="?"), asking("in_doubt"), asking("final", result="x")
    )
    hook = {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["request.created"]}
    assert house.admin.api.put("/api/v1/channels/hook", hook).status_code == 200
    sent = house.admin.api.post("/api/v1/channels/hook/test").json()["id"]
    with house.scope():
        standing = approvals.grant(
            house.reviewer.actor, rows[0].pk, scope="run", same="call", expires_at="2026-12-01T00:00:00Z", reason="r"
        )
        view = approvals.keep_view(house.reviewer.actor, "mine", {})
        now = timezone.now()
        about = {"name": "cost", "figure": "cost", "hours": 3, "condition": "above", "threshold": 5}
        alert_rule = alerts.add_rule(house.admin.actor, about, now)
        silence = alerts.silence(house.operator.actor, str(alert_rule.pk), "r", "8h", now)
        proposed = waive(desk.workflow, consented_by_id=None, consented_by_name="", consented_at=None)
    names = ("request", "loose", "question", "doubt", "final")
    return {
        **{name: str(row.pk) for name, row in zip(names, rows, strict=True)},
        "run": str(run.pk), "standing": str(standing.pk), "view": str(view.pk), "waiver": str(proposed.pk),
        "alert_rule": str(alert_rule.pk), "silence": str(silence.pk), "soon": f"{now + timedelta(days=2):%Y-%m-%dT%H:%M}",
        "delivery": sent, "channel": "hook", "group": "finance", "user": str(house.reviewer.user.pk),
    }  # fmt: skip


def address(name: str, filled: str = "") -> str:
    """The address of that name, with the slug of the desk and whatever else fills it."""
    [route] = [str(each.pattern) for each in get_resolver().url_patterns if getattr(each, "name", None) == name]
    route = re.sub(r"<slug:slug>", "refund-desk", route)
    return "/" + re.sub(r"<\w+:\w+>", filled, route)


def fault(answer: Any, written: bool) -> str:
    if answer.status_code >= 500:
        return f"{answer.status_code} {type(getattr(answer, 'exc_info', (0, 0))[1])}"
    if answer.status_code >= 400 and written:
        return f"{answer.status_code}, and something was written"
    text = answer.content.decode()
    if answer.status_code in (409, 422) and not re.search(
        'role="alert"|class="[^"]*(error|problem|fault)|must be', text
    ):
        return f"{answer.status_code} says nothing: {text[:80]}" if "<html" in text else ""
    return ""


def forms(place: dict[str, str]) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """(what it is, who, address, the right form) of each of FORMS."""
    for name, who, filled, right in FORMS:
        what = f"{name} {right.get('do') or right.get('verdict') or ''} {filled}"
        form = {key.format(**place): place.get(value[1:-1], value) for key, value in right.items()}
        yield what, who, address(name, place.get(filled, filled)), form


def test_every_field_of_every_form(world: World, place: dict[str, str]) -> None:
    broken = []
    for what, who, path, right in forms(place):
        client = getattr(world.northwind, who).client
        client.raise_request_exception = False
        for field in right if MORE else some(list(right), what):
            for text in some(TEXTS, f"{what} {field}"):
                with transaction.atomic():
                    before = written(world)
                    answer = client.post(path, {**right, field: text})
                    said = fault(answer, written(world) != before)
                    if not said and answer.status_code == 302:
                        said = fault(client.get(answer["Location"]), False)
                    transaction.set_rollback(True)
                broken += [f"{what} {field}={text[:30]!r}: {said}"] if said else []
    assert "\n".join(broken) == ""


def test_every_parameter_of_every_page(world: World, place: dict[str, str]) -> None:
    client = world.northwind.admin.client
    client.raise_request_exception = False
    broken = []
    for path, names in READ.items():
        for name in names:
            for text in some(TEXTS, f"{path} {name}"):
                said = fault(client.get(f"{path.format(**place)}?{name}={quote(text[:8_000])}"), False)
                broken += [f"{path}?{name}={text[:30]!r}: {said}"] if said else []
    assert "\n".join(broken) == ""


def test_another_tenants_ids_are_as_unknown_as_no_ones(world: World, place: dict[str, str]) -> None:
    """In the address and in every field; and what is said of them is the same, letter by letter."""
    nobody = {**{key: str(uuid4()) for key in place}, "channel": "nowhere", "group": "finance"}
    before, differ = written(world), list[str]()
    theirs, unknown = list(forms(place)), list(forms(nobody))
    for (what, who, path, form), (_, _, other, its) in zip(theirs, unknown, strict=True):
        if form.get("do") == "invite":
            continue  # it names nobody, and a new password is in each answer
        client = getattr(world.fabrikam, who).client
        found, twin = (asked(client, *each) for each in ((path, form, place), (other, its, nobody)))
        differ += [what] if found != twin else []
        name = what.split()[0]
        if "/" + place.get(next(each[2] for each in FORMS if each[0] == name), "-") in path and name != "group":
            assert found[0] in (403, 404), what
    for path in READ:
        found = plain(world.fabrikam.admin.client.get(path.format(**place)), place)
        twin = plain(world.fabrikam.admin.client.get(path.format(**nobody)), nobody)
        differ += [path] if found != twin else []
    assert differ == [] and written(world) == before


def test_another_tenants_names_are_as_unknown_as_no_ones(world: World, place: dict[str, str]) -> None:
    north = world.northwind
    user, theirs, nobody = place["user"], "reviewer.fabrikam", "reviewer.nowhere"
    for who, path, form in (
        (north.reviewer, f"/queue/{place['request']}/hand/", {"do": "assign", "to": "{}"}),
        (north.admin, "/groups/finance/", {"do": "add", "username": "{}"}),
        (
            north.admin,
            f"/people/{user}/",
            {"do": "away", "starts": "2027-01-15", "ends": "2027-01-16", "delegate": "{}"},
        ),
    ):
        said = [
            plain(who.client.post(path, {key: value.format(name) for key, value in form.items()}), {"name": name})
            for name in (theirs, nobody)
        ]
        assert said[0] == said[1] and said[0][0] == 422, path


def asked(client: Any, path: str, form: dict[str, str], ids: dict[str, str]) -> tuple[int, str]:
    """What is said to a form, and nothing is done."""
    with transaction.atomic():
        found = plain(client.post(path, form), ids)
        transaction.set_rollback(True)
    return found


def plain(answer: Any, ids: dict[str, str]) -> tuple[int, str]:
    """What is said, without what differs from page to page: the forms' tokens, the ids that were asked about, and how long
    ago something was, which may pass from just now to seconds between the two."""
    text = re.sub(
        r'"[A-Za-z0-9]{64}"|[a-z2-9]{5}(-[a-z2-9]{5}){2}',
        "",
        answer.content.decode() + answer.headers.get("Location", ""),
    )
    text = re.sub(r"(<time\b[^>]*>)[^<]*", r"\1", text)
    for key in ids.values():
        text = text.replace(key if len(key) > 8 else f"/{key}/", "")
    return answer.status_code, re.sub(r"\d+", "0", text)


def test_what_is_too_much_is_refused_with_the_limit(world: World) -> None:
    client = world.northwind.admin.client
    large = client.post("/rules/", {"rules": "x" * 1_100_000})
    assert large.status_code == 413 and "1,000,000 bytes" in large.content.decode()
    many = client.post("/rules/", {f"f{n}": "" for n in range(600)})
    assert many.status_code == 400 and "500 fields" in many.content.decode()


def test_every_address_that_takes_a_form_is_here(world: World, place: dict[str, str]) -> None:
    named = {name for name, *_ in FORMS} | {"home", "login", "logout", "switch", "password", "rules", "workflow-rules"}
    elsewhere = "^(run|event|workflow|tool|credentials|limits|routing)"  # tests/pages/test_forms.py
    for pattern in get_resolver().url_patterns:
        name = getattr(pattern, "name", None)
        if name and name not in named and not re.match(elsewhere, name):
            path = "/" + re.sub(
                r"<(\w+):\w+>", lambda kind: place["request"] if kind[1] == "uuid" else "x", str(pattern.pattern)
            )
            assert world.northwind.admin.client.post(path).status_code in (404, 405), name


def written(world: World) -> int:
    with world.northwind.scope():
        return AuditRecord.objects.count()
