"""Groups, the organisation's rules and its hours as files: export, apply, and back."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from approvals import rule_actions, rule_sets
from approvals.actions.calendar import put_calendar
from approvals.models import Calendar, RuleSet
from console.tenants import access, group_actions, groups
from console.workflows import applying, files
from tests.workflows.test_files import (
    DESK,
    REVISION,
    audited,
    contents,
    desk,
    edit,
    everything,
    make,
    put,
    refused,
    run,
)
from tests.world import House, World

FINANCE, HOURS, RULES = "groups/finance.json", "hours.json", "rules.json"
DAYS = {"mon": ["09:00", "17:00"], "fri": ["09:00", "15:00"]}
LARGE = {
    "name": "large refunds", "match": {"tool": "issue_*"}, "when": "arguments.amount > 1000.0", "effect": "require",
    "approvers": 2, "group": "finance", "expires_in": "PT4H", "hours": "business",
}  # fmt: skip
SMALL = {"name": "small refunds", "match": {"tool": "issue_*"}, "effect": "require"}


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "conf"


def full(house: House) -> None:
    """Something of everything that oversight keeps in files."""
    with house.scope():
        group_actions.put_group(house.system, "on-call", "Nights.", [house.operator.user.id, house.reviewer.user.id])
        put_calendar(house.system, "Europe/Oslo", DAYS, ["2026-12-26", "2026-12-25"])
        rule_actions.put_rules(house.system, [LARGE, SMALL], "Asked by audit")


def move(folder: Path, house: House) -> None:
    """Have a folder speak of another house's people."""
    for file in (folder / "groups").iterdir():
        edit(
            folder,
            f"groups/{file.name}",
            lambda it: it.update(members=[who.replace("northwind", house.tenant.slug) for who in it["members"]]),
        )


def names(house: House, group: str) -> list[str]:
    with house.scope():
        return sorted(each.username for each in groups.members(house.tenant.id, group))


def test_what_was_exported_is_nothing_to_apply(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    assert sorted(contents(folder)) == [FINANCE, "groups/on-call.json", HOURS, RULES, "sayso.json"]
    before, first = everything(), contents(folder)
    for rehearse in (True, False):
        assert run("apply", folder, dry_run=rehearse) == "nothing to change\n"
    assert "none changed" in run("export", folder)
    assert everything() == before and contents(folder) == first
    assert json.loads(first["groups/on-call.json"]) == {
        "description": "Nights.",
        "members": ["operator.northwind", "reviewer.northwind"],
    }
    assert list(json.loads(first[HOURS])["days"]) == ["mon", "fri"]


def test_a_folder_makes_another_tenant_the_same(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    move(folder, world.fabrikam)
    before = everything()
    dry = run("apply", folder, tenant="fabrikam", dry_run=True)
    assert everything() == before and "would be made; nothing was changed" in dry
    told = run("apply", folder, tenant="fabrikam", reason="A new house")
    assert told.splitlines()[:-1] == dry.splitlines()[:-1]
    for line in (
        "new group: (none) -> on-call",
        "member: (none) -> operator.fabrikam",
        "zone: (none) -> Europe/Oslo",
        "version: (none) -> 1",
        "large refunds.approvers: (none) -> 2",
    ):
        assert line in told, line
    before = everything()
    assert run("apply", folder, tenant="fabrikam") == "nothing to change\n" and everything() == before
    other = folder.with_name("other")
    run("export", other, tenant="fabrikam")
    for path in (FINANCE, "groups/on-call.json", HOURS, RULES):
        assert json.loads((other / path).read_text()) == json.loads((folder / path).read_text()), path
    with world.fabrikam.scope():
        made = RuleSet.objects.get()
        assert (made.reason, made.author_name) == ("A new house", "apply")
    assert audited(world.fabrikam)[-3:] == ["group.made", "calendar.set", "tenant.rules"]


def test_what_differs_is_shown_and_changed(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    edit(folder, "groups/on-call.json", lambda it: it.update(description="Days.", members=["reviewer2.northwind"] * 2))
    edit(folder, HOURS, lambda it: it["days"].update(mon=["08:00", "16:00"]))
    edit(folder, RULES, lambda it: (it["rules"].reverse(), it["rules"][0].update(approvers=3)))
    told = run("apply", folder)
    for line in (
        "description: Nights. -> Days.",
        "member: (none) -> reviewer2.northwind",
        "member: operator.northwind -> (none)",
        'days.mon: ["09:00", "17:00"] -> ["08:00", "16:00"]',
        "version: 1 -> 2",
        "Rules, small refunds approvers: (none) -> 3",
        "Rules, order: large refunds, small refunds -> small refunds, large refunds",
    ):
        assert line in told, line
    assert names(world.northwind, "on-call") == ["reviewer2.northwind"]
    with world.northwind.scope():
        assert [each["name"] for each in rule_sets.listed(world.northwind.tenant.id)] == [SMALL["name"], LARGE["name"]]
        assert Calendar.objects.get().days["mon"] == ["08:00", "16:00"]
    assert run("apply", folder) == "nothing to change\n"


def test_what_the_folder_does_not_name_stays(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    for path in ("groups/on-call.json", HOURS, RULES):
        (folder / path).unlink()
    edit(folder, FINANCE, lambda it: it.pop("members"))
    before = everything()
    told = run("apply", folder)
    assert everything() == before
    assert "group on-call is not in the folder, and is left as it is" in told
    assert "rules.json is not there: the organisation's own rules stay as they are" in told
    assert "hours.json is not there: the business hours stay as they are" in told


def test_an_empty_list_takes_the_rules_away(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    put(folder, RULES, {"rules": []})
    told = run("apply", folder)
    assert "large refunds: was there -> (none)" in told and "version: 1 -> 2" in told
    run("export", folder)
    assert json.loads((folder / RULES).read_text()) == {"rules": []}
    put(folder, FINANCE, {"members": []})
    assert "member: reviewer.northwind -> (none)" in run("apply", folder)
    assert names(world.northwind, "finance") == []


def test_a_group_and_a_revision_that_names_it_come_together(world: World, folder: Path) -> None:
    make(world.northwind)
    run("export", folder)
    put(folder, "groups/payers.json", {"description": "Who pays.", "members": ["reviewer.northwind"]})
    named = {"name": "payments", "effect": "require", "group": "payers"}
    edit(folder, REVISION, lambda it: it.update(rules=[named]))
    put(folder, RULES, {"rules": [{**named, "name": "all payments"}]})
    run("apply", folder)
    assert run("apply", folder) == "nothing to change\n"


@pytest.mark.parametrize(
    ("path", "document", "said"),
    [
        (FINANCE, {"members": ["reviewer.northwind", "ghost"]}, "$.members[1]: 'ghost' is not a member of Northwind"),
        (FINANCE, {"members": ["admin.fabrikam"]}, "$.members[0]: 'admin.fabrikam' is not a member of Northwind"),
        (FINANCE, {"members": [7, {}]}, "$.members[1]: must be a user name"),
        (FINANCE, {"members": "rita"}, "$.members: must be a list"),
        (FINANCE, {"owner": "rita"}, "$.owner: is not known here; there are description, members"),
        (FINANCE, {"description": "a\nb"}, "$.description: The description is one line"),
        (FINANCE, {"description": "a\x00"}, "$.description: There is a NUL character in it."),
        (FINANCE, {"description": "sk-" + "a" * 30}, "$.description: This looks like a key"),
        ("groups/Finance_1.json", {}, "must be named with 1 to 60 small letters"),
        (HOURS, {"zone": "Mars/Olympus", "days": DAYS}, "$.zone: must be the name of a time zone"),
        (HOURS, {"zone": "Europe/Oslo"}, "$.days: must be an object"),
        (HOURS, {"zone": "Europe/Oslo", "days": {"mon": ["17:00", "9"]}}, "$.days.mon: must be times"),
        (HOURS, {"zone": "Europe/Oslo", "days": DAYS, "holidays": [1]}, "$.holidays: must be dates"),
        (HOURS, {"zone": 7, "days": DAYS}, "$.zone: must be text"),
        (RULES, {}, "$.rules: is missing"),
        (RULES, {"rules": {}}, "$.rules: must be a list"),
        (RULES, {"rules": [LARGE, 7]}, "$.rules[1]: "),
        (RULES, {"rules": [{**LARGE, "when": "arguments.amount >"}]}, "$.rules[0].when: "),
        (RULES, {"rules": [{**LARGE, "group": "ghosts"}]}, "$.rules[0].group: there is no group 'ghosts'"),
        (RULES, {"rules": [{**SMALL, "when": "tool == 'sk-" + "a" * 30 + "'"}]}, "$.rules[0].when: This looks like a"),
        (DESK, {"name": "Desk", "waivers": []}, "$.waivers: is in no file: that NEVER holds takes two admins"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    world: World, folder: Path, path: str, document: Any, said: str
) -> None:
    full(world.northwind)
    make(world.northwind)
    run("export", folder)
    put(folder, path, document)
    edit(folder, "sayso.json", lambda it: it.update(limits={"max_turns": 7}))
    told = refused("apply", folder)
    assert said in told and f"{path}: " in told
    assert "a" * 30 not in told


def test_never_is_not_waived_by_a_file(world: World, folder: Path) -> None:
    make(world.northwind, body=desk())
    run("export", folder)
    edit(folder, FINANCE, lambda it: it.pop("members"))
    told = run("apply", folder, tenant="fabrikam")
    assert "NEVER is not in force: until a risk assessment with an expiry date has a second admin's consent" in told
    assert b"waiver" not in b"".join(contents(folder).values())


def test_only_admins_apply(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    documents, faults = files.read(folder)
    for member in (world.northwind.operator, world.northwind.reviewer):
        with world.northwind.scope(), pytest.raises(access.Forbidden):
            applying.apply(member.actor, documents, faults)
    with world.northwind.scope():
        assert applying.apply(world.northwind.admin.actor, documents, faults).changes == []


def test_somebody_elses_groups_rules_and_hours_are_not_in_it(world: World, folder: Path) -> None:
    full(world.fabrikam)
    run("export", folder)
    assert sorted(contents(folder)) == [FINANCE, "sayso.json"]
    assert b"fabrikam" not in b"".join(contents(folder).values())


def test_a_key_in_a_rule_is_not_exported(world: World, folder: Path) -> None:
    with world.northwind.scope():
        key = "sk-" + "a" * 30
        rule_actions.put_rules(world.northwind.system, [{**SMALL, "when": f"tool == '{key}'"}])
    told = refused("export", folder)
    assert "rules.json: $.rules[0].when" in told and "a" * 30 not in told and not folder.exists()
