"""To whom the contents of runs are shown, and what is blotted out of them."""

from __future__ import annotations

from typing import Any

import pytest

from console.audit.models import AuditRecord
from console.tenants import display, display_actions, masks
from console.tenants.masks import UNREAD, BadPattern, Masker
from console.tenants.models import TenantDisplay
from tests.world import World

ALL = list(masks.KINDS)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("write to ingrid.olsen+x@mail.example.com.", "write to [e-mail address hidden]."),
        ("card 4111 1111 1111 1111, please", "card [card number hidden], please"),
        ("card 4111-1111-1111-1111", "card [card number hidden]"),
        ("order 4111111111111112", "order 4111111111111112"),  # no card: its check digit is wrong
        ("to DE89 3704 0044 0532 0130 00 today", "to [bank account hidden] today"),
        ("NO9386011117947", "[bank account hidden]"),
        ("DE00370400440532013000", "DE00370400440532013000"),
        ('{"to": "a@b.example"}', '{"to": "[e-mail address hidden]"}'),
        ("nothing of the kind", "nothing of the kind"),
        ("@", "@"),
    ],
)
def test_what_is_built_in_finds_what_it_is_for(text: str, seen: str) -> None:
    assert Masker(ALL).of(text) == seen


def test_every_place_of_a_value_is_looked_at() -> None:
    value = {"a@b.example": [4111111111111111, 1.5, True, None, {"x": ("c@d.example",)}]}
    assert Masker(ALL).of(value) == {
        "[e-mail address hidden]": ["[card number hidden]", 1.5, True, None, {"x": ["[e-mail address hidden]"]}]
    }
    assert Masker().of(value) is not None and not Masker()


def test_an_own_pattern_is_put_under_its_name() -> None:
    found = Masker((), [{"name": "customer", "pattern": r"C-\d{3}"}])
    assert found.of({"who": "C-123, C-12"}) == {"who": "[customer hidden], C-12"}


@pytest.mark.parametrize("pattern", ["", "(", "x" * 201, r"(a+)+$", "x*", r"\b"])
def test_a_pattern_that_cannot_be_kept(pattern: str) -> None:
    with pytest.raises(BadPattern):
        masks.check(pattern)


def test_what_cannot_be_searched_in_time_is_hidden_and_the_page_has_its_own_limit() -> None:
    slow = Masker((), [{"name": "slow", "pattern": r"(?:b+)+c"}])
    assert slow.of("b" * 5000) == UNREAD
    ticks = iter(range(0, 1000, 1))
    spent = Masker((), [{"name": "x", "pattern": "x"}], clock=lambda: float(next(ticks)))
    assert [spent.of("axb"), spent.of("axb")] == ["a[x hidden]b", UNREAD]


def test_builtin_masks_take_long_and_nasty_texts() -> None:
    for text in ("a" * 300_000, "1 " * 150_000, "a@" * 150_000, "DE12" * 75_000, "@" * 300_000):
        assert isinstance(Masker(ALL).of(text), str)


def test_roles(world: World) -> None:
    house = world.northwind
    with house.scope():
        assert all(display.of(member.actor).plain for member in house.members)
        display_actions.put(house.admin.actor, "reviewers", [], [])
        assert [display.of(m.actor).shown for m in house.members] == [
            m.role in ("admin", "reviewer") for m in house.members
        ]
        display_actions.put(house.admin.actor, "admins", ["email"], [])
        assert [display.of(m.actor).shown for m in house.members] == [m.role == "admin" for m in house.members]
        assert display.of(house.reviewer.actor).of({"secret": 1}) == display.HIDDEN
        assert display.of(house.admin.actor).of({"to": "a@b.example"}) == {"to": "[e-mail address hidden]"}
    with world.fabrikam.scope():
        assert display.of(world.fabrikam.operator.actor).plain


def test_the_form(world: World) -> None:
    house = world.northwind
    page = house.admin.client.get("/display/").content.decode()
    assert "Contents of steps are shown to" in page
    form = {"shown_to": "reviewers", "masks": ["card", "email"], "patterns": "customer: C-\\d+\n\nvat: [A-Z]{2}\\d{9}"}
    answer = house.admin.client.post("/display/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/display/?saved=1")
    with house.scope():
        kept = TenantDisplay.objects.get()
        assert (kept.shown_to, kept.masks, len(kept.patterns)) == ("reviewers", ["email", "card"], 2)
        row = AuditRecord.objects.filter(action="tenant.display").get()
        assert row.detail["before"] is None and row.detail["after"]["shown_to"] == "reviewers"
    assert "customer: C-\\d+" in house.admin.client.get("/display/").content.decode()
    for member in (house.operator, house.reviewer):
        assert member.client.get("/display/").status_code == 403
        assert member.client.post("/display/", form).status_code == 403


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"shown_to": "nobody"}, "Choose one of the three."),
        ({"shown_to": "admins", "masks": "names"}, "There is no such mask."),
        ({"shown_to": "admins", "patterns": "no colon here"}, "need a name before a colon"),
        ({"shown_to": "admins", "patterns": "ok: x\nbad: ("}, "Line 2: the pattern is no regular expression"),
        ({"shown_to": "admins", "patterns": 'a"b: x'}, "Line 1: the name must be"),
        ({"shown_to": "admins", "patterns": "a: x\nb: (c+)+$" + "c" * 300}, "longer than 200"),
        ({"shown_to": "admins", "patterns": "a: x\na: y"}, "is there twice"),
        ({"shown_to": "admins", "patterns": "a: x\x00"}, "without NUL"),
        ({"shown_to": "admins", "patterns": "\n".join(f"n{i}: x" for i in range(21))}, "more than 20"),
        ({}, "Choose one of the three."),
    ],
)
def test_what_the_form_refuses(world: World, form: dict[str, str], said: str) -> None:
    answer = world.northwind.admin.client.post("/display/", form)
    assert answer.status_code == 422 and said in answer.content.decode()
    with world.northwind.scope():
        assert not TenantDisplay.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"shown_to": "admins", "patterns": [{"name": "x"}]}, "patterns[0]"),
        ({"shown_to": "admins", "patterns": [{"name": "x", "pattern": "(a+)+$"}]}, "patterns[0].pattern"),
        ({"shown_to": 7}, "shown_to"),
        ({"shown_to": "admins", "masks": [["email"]]}, "masks"),
    ],
)
def test_what_the_api_refuses(world: World, body: Any, field: str) -> None:
    answer = world.northwind.admin.api.put("/api/v1/display", body)
    assert answer.status_code == 422 and field.split("[")[0] in answer.content.decode(), answer.content
    assert world.northwind.admin.api.get("/api/v1/display").json()["shown_to"] == "everyone"
