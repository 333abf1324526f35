"""Configuration as files: export, apply, and back; what is shown, what is refused, and what never happens."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from console.audit.models import AuditRecord
from console.demo.documents import WORKFLOWS
from console.management.commands import apply as applying
from console.runs import smoke
from console.runs.models import Run
from console.tenants import actions as tenants
from console.tenants.models import Credential, Tenant
from console.tenants.scopes import system_scope
from console.workflows import actions, changes, files, tool_actions, tool_files
from console.workflows.models import Revision, SmokeTest, Tool, Workflow
from tests.agents.stage import agent, team
from tests.studio import code
from tests.world import House, World

SERVER = Path(__file__).with_name("mcp_clerk.py")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
CANARY = "hush-canary-7731"
SMS = {"kind": "http", "url": "https://sms.example.com/send", "schema": SCHEMA, "effect": "neither", "risk": "high"}
DESK, REVISION = "workflows/desk/workflow.json", "workflows/desk/revision.json"


@pytest.fixture(autouse=True)
def near(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of ours may be started, and no terminal is there."""
    settings.SAYSO_COMMANDS_ALLOW = [sys.executable]
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "conf"


class Terminal(io.StringIO):
    """Somebody who types an answer."""

    def isatty(self) -> bool:
        return True


def desk(limit: int = 20, **more: Any) -> dict[str, Any]:
    """A revision of one agent that calculates."""
    document = team("RoundRobinGroupChat", agent("assistant", **{"system_message": "You add.", **more}))
    document["config"]["participants"][0]["config"]["workbench"] = [bench("calculator")]
    return {"team": document, "limits": {"max_turns": limit}, "oversight": {"mode": "NEVER"}}


def bench(*tools: str) -> dict[str, Any]:
    listed = [code(tool, source="") for tool in tools]
    return {
        "provider": "autogen_core.tools.StaticStreamWorkbench", "component_type": "workbench", "config": {"tools": listed}
    }  # fmt: skip


def make(house: House, slug: str = "desk", body: Any = None, **more: Any) -> Workflow:
    """A workflow with a revision."""
    with house.scope():
        found = Workflow.objects.filter(slug=slug).first()
        workflow = found or actions.create_workflow(house.system, slug, slug.title(), description="Adds.")
        actions.create_revision(house.system, workflow, body or desk(), **more)
        return workflow


def put_tool(house: House, name: str, body: Any) -> None:
    with house.scope():
        tool_actions.put_tool(house.system, name, body)


def run(command: str, folder: Path, **options: Any) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(command, str(folder), **{"tenant": "northwind", **options}, stdout=out)
    return out.getvalue()


def refused(command: str, folder: Path, **options: Any) -> str:
    """What a command says when it refuses, in which it must not have changed anything."""
    before, out = everything(), io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command(command, str(folder), **{"tenant": "northwind", **options}, stderr=out)
    assert everything() == before
    return f"{out.getvalue()}{error.value}"


def everything() -> dict[str, list[str]]:
    """Every row of every table, as Postgres writes it: table to sorted rows, by one statement."""
    tables = [
        model._meta.db_table
        for model in apps.get_models()
        if model._meta.app_label not in ("sessions", "contenttypes", "auth")
    ]
    looks = (f"SELECT '{each}', array_agg(row::text ORDER BY row::text) FROM \"{each}\" row" for each in tables)
    with system_scope("a test looks"), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return {table: rows or [] for table, rows in cursor.fetchall()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def edit(folder: Path, path: str, change: Callable[[Any], object]) -> None:
    document = json.loads((folder / path).read_text())
    change(document)
    (folder / path).write_text(json.dumps(document))


def put(folder: Path, path: str, document: Any) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(json.dumps(document))


def audited(house: House) -> list[str]:
    with house.scope():
        return list(
            AuditRecord.objects.filter(tenant_id=house.tenant.id).order_by("id").values_list("action", flat=True)
        )


def full(house: House) -> None:
    """Something of everything that is kept in files."""
    with house.scope():
        for demo in WORKFLOWS:
            workflow = actions.create_workflow(house.system, demo.slug, demo.name, description=demo.description)
            actions.create_revision(house.system, workflow, demo.body)
        actions.put_limits(house.system, {"max_turns": 40, "max_cost": "5.00", "max_runs": 9})
        actions.put_limits(house.system, {"max_turns": 30, "run_timeout": "PT10M"}, workflow)
        actions.put_queue(house.system, "payments", workflow)
        actions.put_smoke(
            house.system, workflow, {"required": False, "cases": [{"name": "one", "input": {"b": 1, "a": 2}}]}
        )
        actions.put_queue(house.system, "northwind")
        tool_actions.put_tool(house.system, "send_sms", {**SMS, "headers": {"Authorization": CANARY, "X-Key": CANARY}})
        tool_actions.put_tool(house.system, "old_sms", {**SMS, "title": "Write {text} — größer", "timeout": "PT5S"})
        tool_actions.put_tool(house.system, "shell", {"kind": "code", "image": "python:3.11", "effect": "neither"})
        for name in ("old_sms", "calculator"):
            tool_actions.revoke(house.system, name, "It misbehaves")
        tenants.put_credential(
            house.system, "default", provider="openai", base_url="https://api.example.com", api_key=CANARY, zone="EU"
        )


# There and back


def test_what_was_exported_is_nothing_to_apply(world: World, folder: Path) -> None:
    full(world.northwind)
    printed = run("export", folder)
    assert printed.count("new ") == len(contents(folder)) == 12
    before = everything()
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    assert run("apply", folder, dry_run=True).splitlines()[-1] == "nothing to change"
    assert everything() == before


def test_exporting_again_writes_the_same(world: World, folder: Path) -> None:
    full(world.northwind)
    run("export", folder)
    first, times = contents(folder), [each.stat().st_mtime_ns for each in folder.rglob("*.json")]
    assert "none changed" in run("export", folder)
    assert contents(folder) == first and [each.stat().st_mtime_ns for each in folder.rglob("*.json")] == times
    assert all(text.endswith(b"}\n") and not text.startswith(b"\xef") for text in first.values())
    assert "größer".encode() in first["tools/old_sms.json"]
    assert list(json.loads(first[f"workflows/{WORKFLOWS[0].slug}/revision.json"]))[-1] == "team"


def test_a_folder_makes_another_tenant_the_same(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(world.northwind)
    make(world.northwind, "sms", {"team": team("RoundRobinGroupChat", agent("clerk", workbench=[bench("send_sms")]))})
    with world.northwind.scope():
        tool_actions.revoke(world.northwind.system, "send_sms", "For now")
    run("export", folder)
    edit(folder, "groups/finance.json", lambda it: it.pop("members"))  # who works there is not who works here
    monkeypatch.setenv("SAYSO_TOOL_SEND_SMS_AUTHORIZATION", CANARY)
    monkeypatch.setenv("SAYSO_TOOL_SEND_SMS_X_KEY", CANARY)
    told = run("apply", folder, tenant="fabrikam", reason="A new house")
    assert "there is no credential 'default' here" in told and CANARY not in told
    before = everything()
    again = run("apply", folder, tenant="fabrikam")
    assert again.splitlines()[-1] == "nothing to change" and everything() == before
    other = folder.with_name("other")
    run("export", other, tenant="fabrikam")
    one, two = contents(folder), contents(other)
    assert one.pop("groups/finance.json") != two.pop("groups/finance.json")
    assert json.loads(two.pop("sayso.json"))["limits"] == json.loads(one.pop("sayso.json"))["limits"] and one == two
    with world.fabrikam.scope():
        revision = Revision.objects.get(tenant=world.fabrikam.tenant, workflow__slug="sms")
        assert (revision.reason, revision.author_name) == ("A new house", "apply")


def test_no_secret_is_in_the_files(world: World, folder: Path) -> None:
    full(world.northwind)
    printed = run("export", folder)
    assert CANARY not in printed and not [path for path, text in contents(folder).items() if CANARY.encode() in text]
    assert json.loads((folder / "tools/send_sms.json").read_text())["secrets"] == ["Authorization", "X-Key"]
    credentials = json.loads((folder / "sayso.json").read_text())["credentials"]
    assert credentials["default"] == {
        "provider": "openai",
        "base_url": "https://api.example.com",
        "region": "",
        "zone": "EU",
    }


@pytest.mark.parametrize(
    "place",
    [
        {"url": "https://sms.example.com/send?api_key=" + CANARY},
        {"url": "https://sms.example.com/send?key=sk-" + "a" * 30},
        {"kind": "mcp", "url": None, "schema": None, "command": f"{sys.executable} server.py --api-key {CANARY}"},
        {"kind": "mcp", "url": None, "schema": None, "command": f"{sys.executable} server.py --password={CANARY}"},
    ],
)
def test_a_key_in_an_address_or_a_command_is_not_exported(world: World, folder: Path, place: dict[str, Any]) -> None:
    run("export", folder)
    first = contents(folder)
    kept = {key: value for key, value in {**SMS, **place}.items() if value is not None}
    with world.northwind.scope():
        Tool.objects.create(
            tenant=world.northwind.tenant, name="sms", version=1, kind=kept.pop("kind"), config={**kept, "tools": []}
        )
    told = refused("export", folder)
    assert "tools/sms.json: $." in told and "nothing was written" in told and CANARY not in told
    assert contents(folder) == first
    put(folder, "tools/sms.json", {**SMS, **place})
    told = refused("apply", folder)
    assert "looks like a key" in told and CANARY not in told


def test_another_tenants_things_are_neither_written_nor_touched(world: World, folder: Path) -> None:
    full(world.fabrikam)
    make(world.northwind)
    run("export", folder)
    assert sorted(contents(folder)) == ["groups/finance.json", "sayso.json", REVISION, DESK]
    with world.fabrikam.scope():
        before = list(Revision.objects.values()), list(Tenant.objects.filter(slug="fabrikam").values())
    edit(folder, "sayso.json", lambda it: it.update(queue="elsewhere"))
    run("apply", folder)
    with world.fabrikam.scope():
        assert (list(Revision.objects.values()), list(Tenant.objects.filter(slug="fabrikam").values())) == before


def test_which_tenant(world: World, folder: Path) -> None:
    assert "there are fabrikam, northwind" in refused("export", folder, tenant="nowhere")
    assert "say which --tenant; there are fabrikam, northwind" in refused("apply", folder, tenant=None)
    assert not folder.exists()


def test_the_only_tenant_need_not_be_named(db: None, folder: Path) -> None:
    assert "there is none yet" in refused("export", folder, tenant=None)
    with system_scope("a test makes a tenant"):
        tenants.create_tenant("acme", "Acme")
    assert "acme: 1 files" in run("export", folder, tenant=None)


# What is in the folder


def test_what_is_gone_is_removed_and_what_is_others_stays(world: World, folder: Path) -> None:
    make(world.northwind, "desk")
    make(world.northwind, "till")
    put_tool(world.northwind, "send_sms", SMS)
    folder.mkdir()
    for path in (".git/config", "README.md", ".github/workflows/ci.yml", "workflows/.keep"):
        put(folder, path, {})
    run("export", folder)
    with world.northwind.scope():
        Workflow.objects.filter(slug="till").update(current=None)
        Workflow.objects.filter(slug="till").delete()
        Tool.objects.all().delete()
    printed = run("export", folder)
    assert "removed  workflows/till/workflow.json" in printed and "removed  tools/send_sms.json" in printed
    assert sorted(os.listdir(folder)) == [".git", ".github", "README.md", "groups", "sayso.json", "workflows"]
    assert sorted(os.listdir(folder / "workflows")) == [".keep", "desk"]


@pytest.mark.parametrize(
    "path",
    ["main.py", "tools/notes.txt", "tools/deep/x.json", "workflows/x.json", "workflows/desk/more.json", "sayso.jsn"],
)
def test_a_folder_with_other_things_is_refused(world: World, folder: Path, path: str) -> None:
    make(world.northwind)
    run("export", folder)
    put(folder, path, {})
    first = contents(folder)
    for command in ("export", "apply"):
        told = refused(command, folder)
        assert "does not belong here" in told and path.split("/x.json")[0] in told
    assert contents(folder) == first


def test_a_folder_that_is_no_export_is_left_alone(world: World, folder: Path) -> None:
    put(folder, "tools/hammer.json", {"mine": True})
    assert "it is no export" in refused("export", folder)
    assert contents(folder) == {"tools/hammer.json": b'{"mine": true}'}
    assert "sayso.json: is missing" in refused("apply", folder)
    assert "is no folder" in refused("apply", folder / "nowhere")


def test_links_are_not_followed(world: World, folder: Path, tmp_path: Path) -> None:
    make(world.northwind)
    run("export", folder)
    outside = tmp_path / "outside.json"
    outside.write_text((folder / DESK).read_text())
    (folder / DESK).unlink()
    (folder / DESK).symlink_to(outside)
    (folder / "tools").symlink_to(tmp_path)
    first = outside.read_text()
    for command in ("export", "apply"):
        told = refused(command, folder)
        assert f"{DESK}: is a symbolic link" in told and "tools: is a symbolic link" in told
    assert outside.read_text() == first and (folder / DESK).is_symlink()


def test_an_export_that_fails_on_the_way_leaves_the_old_files(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(world.northwind)
    run("export", folder)
    first, whole = contents(folder), Path.write_bytes
    make(world.northwind, body=desk(limit=5))
    make(world.northwind, "till")

    def full_disk(self: Path, data: bytes) -> int:
        if self.name == "1":
            raise OSError(28, "No space left on device")
        return whole(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    assert "No space left" in refused("export", folder)
    assert contents(folder) == first


def test_every_fault_is_told_at_once_with_its_file_and_path(world: World, folder: Path, tmp_path: Path) -> None:
    make(world.northwind)
    run("export", folder)
    with world.northwind.scope():
        actions.put_limits(world.northwind.system, {"max_turns": 20})
    edit(folder, "sayso.json", lambda it: it.update(queue="two words", limits={"max_turn": 3}))
    edit(folder, "sayso.json", lambda it: it.update(credentials={"default": {"provider": "x", "api_key": CANARY}}))
    edit(folder, DESK, lambda it: it.update(limits={"max_turns": 21}, name=""))
    edit(folder, REVISION, lambda it: it.update(oversight={"mode": "SOMETIMES"}, steps=3))
    for name, text in {
        "broken": b'{"kind": "http",',
        "latin": '{"kind": "größe"}'.encode("latin-1"),
        "twice": b'{"kind": "http", "kind": "mcp"}',
        "list": b"[]",
        "deep": b"[" * 100_000,
        "nan": b'{"kind": NaN}',
        "long": b'{"x": ' + b"9" * 5000 + b"}",
        "big": b" " * (files.MOST + 1),
        "Upper": json.dumps(SMS).encode(),
        "with space": b"{}",
        "headers": json.dumps({**SMS, "headers": {"Authorization": CANARY}, "revoked": 1}).encode(),
        "unknown": json.dumps({"kind": "http", "url": "x", "colour": 1, "secrets": ["a b", 3]}).encode(),
        "calculator": json.dumps(SMS).encode(),
        "ghost": b'{"kind": "python", "revoked": true}',
    }.items():
        (folder / "tools").mkdir(exist_ok=True)
        (folder / "tools" / f"{name}.json").write_bytes(text)
    put(folder, "workflows/Bad_Slug/workflow.json", {"name": "Bad"})
    put(folder, "workflows/Bad_Slug/revision.json", {"team": 3})
    put(folder, "workflows/lost/revision.json", desk(source_code="x"))
    put(folder, "workflows/new/workflow.json", {"queue": 3, "colour": "red"})
    told = refused("apply", folder)
    for start in (
        "sayso.json: $.queue: must be", "sayso.json: $.limits.max_turn: is not known", f"{DESK}: $.name: must be",
        "sayso.json: $.credentials.default.api_key: is not known", f"{REVISION}: $.oversight.mode: must be one of",
        f"{REVISION}: $.steps: is not known", "tools/broken.json: is not JSON", "tools/latin.json: is not UTF-8 (at byte 12)",
        "tools/twice.json: has a key twice in one object: 'kind'", "tools/list.json: $: must be an object",
        "tools/deep.json: is nested too deeply", "tools/nan.json: $.kind: This is a number", "tools/long.json: ",
        "tools/big.json: is larger", "tools/Upper.json: must be 1 to 64", "tools/with space.json: must be named",
        "tools/headers.json: $.headers: does not belong", "tools/headers.json: $.revoked: must be",
        "tools/unknown.json: $.url: must be", "tools/unknown.json: $.colour: is not known",
        "tools/unknown.json: $.secrets[0]: must be the name", "tools/unknown.json: $.secrets[1]: must be",
        "tools/calculator.json: calculator is a tool of Sayso's own", "tools/ghost.json: $.kind: is python",
        "workflows/Bad_Slug/workflow.json: must be 1 to 80", "workflows/Bad_Slug/revision.json: $.team",
        "workflows/lost/workflow.json: is missing", "workflows/new/workflow.json: $.queue: must be text",
        "workflows/new/workflow.json: $.colour: is not known",
    ):  # fmt: skip
        assert f"\n{start}" in f"\n{told}", told
    assert CANARY not in told
    edit(folder, DESK, lambda it: it.update(name="Desk"))
    assert f"{DESK}: $.limits.max_turns: is above the tenant's limit of 20" in refused("apply", folder)


@pytest.mark.parametrize("format_", [2, "1", True, None])
def test_another_format_is_not_guessed_at(world: World, folder: Path, format_: Any) -> None:
    run("export", folder)
    edit(folder, "sayso.json", lambda it: it.update(format=format_))
    put(folder, "tools/x.json", {"whatever": 1})
    assert refused("apply", folder).splitlines()[:-1] == [f"sayso.json: $.format: must be {files.FORMAT}: another version of "
                                                          "Sayso wrote this folder, so read it with that one"]  # fmt: skip


# What is changed


def test_each_kind_of_change_is_shown_and_made(world: World, folder: Path) -> None:
    make(world.northwind)
    put_tool(world.northwind, "send_sms", SMS)
    run("export", folder)
    edit(folder, "sayso.json", lambda it: it.update(limits={"max_turns": 30, "max_runs": None}, queue="northwind"))
    edit(folder, "tools/send_sms.json", lambda it: it.update(timeout="PT5S", risk="low", revoked=True))
    edit(
        folder, DESK, lambda it: it.update(name="The desk", description="", limits={"max_turns": 25}, queue="payments")
    )
    edit(folder, REVISION, lambda it: it["oversight"].update(mode="ALWAYS"))
    put(folder, "tools/shell.json", {"kind": "code", "image": "python:3.11", "effect": "neither", "network": False})
    put(folder, "workflows/till/workflow.json", {"name": "Till"})
    put(folder, "workflows/till/revision.json", desk(limit=3))
    before = everything()
    tried = run("apply", folder, dry_run=True)
    assert everything() == before
    made = run("apply", folder, reason="Because")
    assert tried.replace("would be made; nothing was changed", "made") == made
    for line in (
        "sayso.json\n  limits.max_turns: (none) -> 30\n  queue: (none) -> northwind\n",
        "tools/send_sms.json\n  version: 1 -> 2\n",
        "  timeout: (none) -> PT5S\n",
        "  risk: high -> low\n",
        "  revoked: false -> true\n",
        "  image: (none) -> python:3.11\n",
        f"{DESK}\n  name: Desk -> The desk\n  description: Adds. -> (none)\n  limits.max_turns: (none) -> 25\n",
        "  queue: (none) -> payments\n",
        f"{REVISION}\n  new runs take: revision 1 -> revision 2\n  Oversight, mode: NEVER -> ALWAYS\n",
        "workflows/till/workflow.json\n  new workflow: (none) -> Till\n",
        "workflows/till/revision.json\n  new runs take: (none) -> revision 1\n",
    ):
        assert line in made
    assert made.endswith(" changes made\n")
    again = run("apply", folder)
    assert again.splitlines()[-1] == "nothing to change"
    with world.northwind.scope():
        workflow = Workflow.objects.select_related("current").get(slug="desk")
        assert (workflow.name, workflow.description, workflow.limits, workflow.queue) == (
            "The desk", "", {"max_turns": 25}, "payments"
        )  # fmt: skip
        assert workflow.current is not None and workflow.current.reason == "Because"
        assert [row.revoked_at is None for row in Tool.objects.filter(name="send_sms")] == [False, False]
    deeds = audited(world.northwind)
    for deed in ("tenant.limits", "tenant.queue", "tool.put", "tool.revoked", "workflow.name", "workflow.description",
                 "workflow.limits", "workflow.queue", "workflow.revised", "workflow.created"):  # fmt: skip
        assert deed in deeds


def test_what_the_folder_does_not_name_is_left_and_told(world: World, folder: Path) -> None:
    make(world.northwind)
    put_tool(world.northwind, "send_sms", SMS)
    with world.northwind.scope():
        actions.put_limits(world.northwind.system, {"max_turns": 40})
        tenants.put_credential(world.northwind.system, "spare", provider="openai", base_url="", api_key=CANARY)
    put(folder, "sayso.json", {"format": 1, "credentials": {}})
    before = everything()
    told = run("apply", folder)
    for note in (
        "workflow desk is not in the folder",
        "tool send_sms is not",
        "credential 'spare' is not in sayso.json",
    ):
        assert f"note: {note}" in told
    put(folder, DESK, {})
    assert f"note: {REVISION} is not there: revision 1 stays" in run("apply", folder)
    assert everything() == before


def test_a_credential_that_differs_is_told_and_left(world: World, folder: Path) -> None:
    with world.northwind.scope():
        tenants.put_credential(world.northwind.system, "default", provider="openai", base_url="", api_key=CANARY)
    run("export", folder)
    edit(folder, "sayso.json", lambda it: it["credentials"]["default"].update(zone="EU"))
    told = run("apply", folder)
    assert "note: credential 'default' is left as it is: zone is '' here and 'EU' in sayso.json" in told
    with world.northwind.scope():
        assert Credential.objects.get().zone == ""


def test_one_fault_anywhere_and_nothing_is_changed(world: World, folder: Path) -> None:
    make(world.northwind)
    run("export", folder)
    edit(folder, "sayso.json", lambda it: it.update(limits={"max_turns": 30}, queue="northwind"))
    put(folder, "tools/send_sms.json", SMS)
    put(folder, "workflows/till/workflow.json", {"name": "Till"})
    put(folder, "workflows/zoo/revision.json", desk())
    assert "1 fault(s); nothing was changed" in refused("apply", folder)
    assert "1 fault(s); nothing was changed" in refused("apply", folder, dry_run=True)


def test_a_fault_of_the_database_undoes_everything(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(world.northwind)
    run("export", folder)
    edit(folder, "sayso.json", lambda it: it.update(limits={"max_turns": 30}))
    edit(folder, REVISION, lambda it: it["limits"].update(max_turns=7))
    before = everything()

    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("the cable is out")

    monkeypatch.setattr(actions, "_take", broken)
    with pytest.raises(RuntimeError):
        run("apply", folder)
    assert everything() == before


@pytest.mark.parametrize(("first", "then"), [(10, 50), (50, 10)], ids=["raised", "lowered"])
def test_limits_move_together_at_every_level(world: World, folder: Path, first: int, then: int) -> None:
    with world.northwind.scope():
        actions.put_limits(world.northwind.system, {"max_turns": first})
        workflow = actions.create_workflow(world.northwind.system, "desk", "Desk")
        actions.put_limits(world.northwind.system, {"max_turns": first}, workflow)
    make(world.northwind, body=desk(limit=first))
    run("export", folder)
    for path in ("sayso.json", DESK, REVISION):
        edit(folder, path, lambda it: it["limits"].update(max_turns=then))
    told = run("apply", folder)
    assert told.count(f"max_turns: {first} -> {then}\n") == 3
    assert run("apply", folder).splitlines()[-1] == "nothing to change"


def test_a_limit_that_was_lowered_above_is_no_fault_until_it_is_written(world: World, folder: Path) -> None:
    make(world.northwind, body=desk(limit=20))
    with world.northwind.scope():
        actions.put_limits(world.northwind.system, {"max_turns": 5})
    run("export", folder)
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    edit(folder, REVISION, lambda it: it.update(oversight={"mode": "ALWAYS"}))
    assert f"{REVISION}: $.limits.max_turns: is above the tenant's limit of 5" in refused("apply", folder)


# Revisions


def test_a_revision_that_waits_to_be_promoted_is_not_made_again(world: World, folder: Path) -> None:
    make(world.northwind)
    make(world.northwind, body=desk(limit=7), promote=False)
    run("export", folder)
    assert json.loads((folder / REVISION).read_text())["limits"] == {"max_turns": 20}
    assert "waits" not in run("apply", folder)
    edit(folder, REVISION, lambda it: it["limits"].update(max_turns=7))
    before = everything()
    told = run("apply", folder)
    assert f"note: {REVISION}: revision 2 says this, and waits to be promoted: new runs take revision 1" in told
    assert told.endswith("nothing to change\n") and everything() == before


def test_a_revision_as_a_person_writes_it_is_made_once(world: World, folder: Path) -> None:
    run("export", folder)
    put(folder, DESK, {"name": "Desk"})
    body = {"team": desk()["team"], "filters": None, "tools": {"sum": "calculator"}}
    body["team"]["config"]["participants"][0]["config"]["workbench"] = [bench("sum")]
    put(folder, REVISION, body)
    assert "Agents, assistant" in run("apply", folder)
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    edit(folder, REVISION, lambda it: it.update(tools={"sum": "calculator", "more": "calculator"}))
    assert "  tools.more: (none) -> calculator" in run("apply", folder)


def test_a_newer_tool_is_a_change_that_is_shown_once(world: World, folder: Path) -> None:
    put_tool(world.northwind, "send_sms", SMS)
    make(world.northwind, body={"team": team("RoundRobinGroupChat", agent("clerk", workbench=[bench("send_sms")]))})
    run("export", folder)
    assert '"version": 1' not in (folder / REVISION).read_text()
    edit(folder, "tools/send_sms.json", lambda it: it.update(timeout="PT5S"))
    told = run("apply", folder)
    assert "tools/send_sms.json\n  version: 1 -> 2\n" in told
    assert "  Tools, send_sms of clerk version: 1 -> 2\n" in told
    assert run("apply", folder).splitlines()[-1] == "nothing to change"

    put_tool(world.northwind, "send_sms", {**SMS, "timeout": "PT6S"})  # by hand: the workflow stays with version 2
    run("export", folder)
    assert '"version": 2' in (folder / REVISION).read_text()
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    edit(folder, REVISION, lambda it: it.update(topics=["sms"]))
    assert "  Tools, send_sms of clerk version: 2 -> 3\n" in run("apply", folder)


def test_a_revision_that_must_pass_its_smoke_test_first_waits(world: World, folder: Path) -> None:
    workflow = make(world.northwind)
    with world.northwind.scope():
        actions.put_smoke(
            world.northwind.system, workflow, {"required": True, "cases": [{"name": "one", "input": "1 + 1"}]}
        )
    run("export", folder)
    edit(folder, REVISION, lambda it: it["limits"].update(max_turns=7))
    before = everything()
    assert f"note: {REVISION}: its smoke test would be started" in run("apply", folder, dry_run=True)
    assert everything() == before
    told = run("apply", folder)
    assert f"{REVISION}\n  new: (none) -> revision 2\n  Limits, max_turns: 20 -> 7\n" in told
    assert "New runs do not take revision 2 yet" in told and "its smoke test is started" in told
    with world.northwind.scope():
        assert Workflow.objects.select_related("current").get().current.number == 1  # type: ignore[union-attr]
        test = SmokeTest.objects.select_related("revision").get()
        assert (test.revision.number, test.promote, test.runs.count()) == (2, True, 1)
    told = run("apply", folder)
    assert "revision 2 says this, and waits to be promoted" in told and told.endswith("nothing to change\n")
    with world.northwind.scope():
        Run.objects.update(status="completed", stop_reason="completed")
    assert smoke.look() == 1
    assert "waits" not in run("apply", folder)


def test_smoke_tests_are_kept_shown_by_their_names_and_checked(world: World, folder: Path) -> None:
    workflow = make(world.northwind)
    suite = {"required": False, "cases": [{"name": "one", "input": "1 + 1", "expect": {"tools": ["calculator"]}}]}
    with world.northwind.scope():
        actions.put_smoke(world.northwind.system, workflow, suite)
    run("export", folder)
    assert json.loads((folder / DESK).read_text())["smoke"] == suite
    edit(folder, DESK, lambda it: it["smoke"]["cases"][0].update(input="2 + 2"))
    edit(folder, DESK, lambda it: it["smoke"]["cases"].append({"name": "two", "input": "3"}))
    told = run("apply", folder)
    assert "  smoke.cases.one.input: 1 + 1 -> 2 + 2\n  smoke.cases.two.name: (none) -> two\n" in told
    assert audited(world.northwind)[-1] == "workflow.smoke"
    edit(folder, DESK, lambda it: it["smoke"]["cases"][1].update(input=""))
    assert f"{DESK}: $.smoke.cases[1].input: is missing" in refused("apply", folder)
    edit(folder, DESK, lambda it: it.update(smoke=[]))
    assert f"{DESK}: $.smoke: must be an object" in refused("apply", folder)


def test_a_smoke_test_that_cannot_begin_undoes_everything(world: World, folder: Path) -> None:
    workflow = make(world.northwind)
    with world.northwind.scope():
        actions.put_smoke(
            world.northwind.system, workflow, {"required": True, "cases": [{"name": "one", "input": "1"}]}
        )
    run("export", folder)
    edit(folder, REVISION, lambda it: it.update(input_schema={"type": "object"}))
    assert f"{REVISION}: cannot be tested: cases[0].input '1' is not of type 'object'" in refused("apply", folder)


def test_a_new_rule_is_shown_whole(world: World, folder: Path) -> None:
    make(world.northwind)
    run("export", folder)
    rule = {"name": "sums", "effect": "allow", "match": {"tool": "calc*"}, "when": "arguments.a < 3.0"}
    edit(folder, REVISION, lambda it: it.update(rules=[rule]))
    told = run("apply", folder)
    for line in ("effect: (none) -> allow", "match.tool: (none) -> calc*", "when: (none) -> arguments.a < 3.0"):
        assert f"  Rules, sums.{line}\n" in told


def test_a_canary_that_ends_is_shown(world: World, folder: Path) -> None:
    workflow = make(world.northwind)
    make(world.northwind, body=desk(limit=7), promote=False)
    with world.northwind.scope():
        actions.start_rollout(world.northwind.system, workflow, {"revision": 2, "share": 10})
    run("export", folder)
    edit(folder, REVISION, lambda it: it["limits"].update(max_turns=9))
    assert "  canary of revision 2: running -> stopped\n" in run("apply", folder)


def test_a_long_text_is_shown_by_its_changed_words(world: World, folder: Path) -> None:
    said = "You are patient and precise, you add what you are given, and you always say what you did in the end."
    make(world.northwind, body=desk(system_message=said))
    run("export", folder)
    after = said.replace("patient", "quick\x1b[2J\n")
    edit(folder, REVISION, lambda it: it["team"]["config"]["participants"][0]["config"].update(system_message=after))
    told = run("apply", folder)
    assert (
        "assistant system_message: You are [patient] and precise, you add ... -> You are [quick\\x1b[2J\\n] and" in told
    )
    assert "\x1b" not in told


# Tools


def test_a_new_tool_is_not_made_without_its_secrets(
    world: World, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("export", folder)
    put(folder, "tools/send_sms.json", {**SMS, "secrets": ["Authorization", "X-Key"], "revoked": True})
    told = refused("apply", folder)
    assert "tools/send_sms.json: $.secrets[0]: the value of Authorization is not known for this place" in told
    assert "SAYSO_TOOL_SEND_SMS_AUTHORIZATION" in told and "SAYSO_TOOL_SEND_SMS_X_KEY" in told
    edit(folder, "tools/send_sms.json", lambda it: it.pop("revoked"))
    monkeypatch.setenv("SAYSO_TOOL_SEND_SMS_AUTHORIZATION", CANARY)
    (tmp_path / "key").write_text(CANARY + "\n")
    monkeypatch.setenv("SAYSO_TOOL_SEND_SMS_X_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("SAYSO_TOOL_SEND_SNS_AUTHORIZATION", CANARY)
    told = run("apply", folder, dry_run=True) + run("apply", folder)
    assert CANARY not in told and '  secrets: (none) -> ["Authorization", "X-Key"]' in told
    assert "note: SAYSO_TOOL_SEND_SNS_AUTHORIZATION is set, and no tool's file names such a secret" in told
    assert secrets_of(world.northwind) == {"Authorization": CANARY, "X-Key": CANARY}
    with world.northwind.scope():
        assert CANARY not in json.dumps(list(AuditRecord.objects.values_list("detail", flat=True)), default=str)
    assert run("apply", folder).splitlines()[-1] == "nothing to change"


def secrets_of(house: House, name: str = "send_sms") -> dict[str, str]:
    with house.scope():
        return tool_actions.opened(house.system, Tool.objects.filter(name=name).order_by("version").last())  # type: ignore[arg-type]


def test_a_tool_keeps_its_secrets_where_it_is_and_takes_none_elsewhere(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tool(world.northwind, "send_sms", {**SMS, "headers": {"Authorization": CANARY, "X-Key": CANARY}})
    run("export", folder)
    edit(folder, "tools/send_sms.json", lambda it: it.update(timeout="PT5S", secrets=["Authorization"]))
    told = run("apply", folder)
    assert '  secrets: ["Authorization", "X-Key"] -> ["Authorization"]\n' in told
    assert secrets_of(world.northwind) == {"Authorization": CANARY}
    edit(folder, "tools/send_sms.json", lambda it: it.update(url="https://evil.example.com/send"))
    assert "$.secrets[0]: the value of Authorization is not known for this place" in refused("apply", folder)
    edit(folder, "tools/send_sms.json", lambda it: it.update(url=SMS["url"]))
    monkeypatch.setenv("SAYSO_TOOL_SEND_SMS_AUTHORIZATION", "another")
    told = run("apply", folder)
    assert "  version: 2 -> 3\n  secret Authorization: (kept) -> (replaced)\n" in told and "another" not in told
    assert secrets_of(world.northwind) == {"Authorization": "another"}
    assert run("apply", folder).splitlines()[-1] == "nothing to change"


def test_one_variable_stands_for_one_secret(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("export", folder)
    put(folder, "tools/pay.json", {**SMS, "secrets": ["us-key"]})
    put(folder, "tools/pay_us.json", {**SMS, "secrets": ["Key"]})
    monkeypatch.setenv("SAYSO_TOOL_PAY_US_KEY", CANARY)
    told = refused("apply", folder)
    assert "SAYSO_TOOL_PAY_US_KEY stands for pay us-key, too" in told and CANARY not in told
    monkeypatch.setenv("SAYSO_TOOL_PAY_US_KEY_FILE", "/nowhere/at/all")
    assert "tools/pay.json: $.secrets[0]: SAYSO_TOOL_PAY_US_KEY and" in refused("apply", folder)


def test_revoked_and_reinstated(world: World, folder: Path) -> None:
    put_tool(world.northwind, "send_sms", SMS)
    make(world.northwind)
    run("export", folder)
    edit(folder, "tools/send_sms.json", lambda it: it.update(revoked=True))
    put(folder, "tools/calculator.json", {"kind": "python", "revoked": True})
    told = run("apply", folder)
    assert told.count("  revoked: false -> true\n") == 2
    with world.northwind.scope():
        assert sorted(Tool.objects.exclude(revoked_at=None).values_list("name", flat=True)) == [
            "calculator",
            "send_sms",
        ]
    run("export", folder)  # the desk's current revision has the revoked calculator in it, and that is no change
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    edit(folder, "tools/send_sms.json", lambda it: it.update(revoked=False))
    edit(folder, "tools/calculator.json", lambda it: it.update(revoked=False))
    assert run("apply", folder).count("  revoked: true -> false\n") == 2
    with world.northwind.scope():
        assert not Tool.objects.exclude(revoked_at=None).exists()


def test_a_new_version_of_a_revoked_tool_is_revoked_as_its_file_says(world: World, folder: Path) -> None:
    put_tool(world.northwind, "send_sms", SMS)
    with world.northwind.scope():
        tool_actions.revoke(world.northwind.system, "send_sms")
    run("export", folder)
    edit(folder, "tools/send_sms.json", lambda it: it.update(timeout="PT5S"))
    assert "revoked" not in run("apply", folder)
    edit(folder, "tools/send_sms.json", lambda it: it.update(timeout="PT6S", revoked=False))
    assert "  revoked: true -> false\n" in run("apply", folder)
    with world.northwind.scope():  # what was wrong with the old ones is not made good by a new one
        rows = Tool.objects.filter(name="send_sms").order_by("version")
        assert [row.revoked_at is None for row in rows] == [False, False, True]


def test_an_mcp_server_and_what_is_said_of_its_tools(world: World, folder: Path, tmp_path: Path) -> None:
    own = {"read_book": {"effect": "read_only"}, "tear": {"effect": "read_only", "approval": "require", "risk": "low"}}
    body = {
        "kind": "mcp",
        "command": f"{sys.executable} {SERVER} {tmp_path}/book",
        "effect": "neither",
        "risk": "medium",
    }
    put_tool(world.northwind, "clerk", {**body, "tools": own, "env": {"BOOK_KEY": CANARY}})
    make(
        world.northwind,
        body={"team": team("RoundRobinGroupChat", agent("clerk", workbench=[bench("clerk.read_book")]))},
    )
    run("export", folder)
    written = json.loads((folder / "tools/clerk.json").read_text())
    assert written == {**body, "tools": own, "secrets": ["BOOK_KEY"]}
    assert run("apply", folder).splitlines()[-1] == "nothing to change"
    edit(folder, "tools/clerk.json", lambda it: it["tools"].update(vanish={"effect": "neither", "approval": "require"}))
    assert run("apply", folder).splitlines()[-1] == "nothing to change"  # it says what holds anyway
    edit(folder, "tools/clerk.json", lambda it: it["tools"].update(write_down={"approval": "allow"}))
    told = run("apply", folder)
    assert "  tools.write_down.approval: require -> allow\n" in told
    assert "  Tools, clerk.read_book of clerk version: 1 -> 2\n" in told
    assert secrets_of(world.northwind, "clerk") == {"BOOK_KEY": CANARY} and CANARY not in told
    edit(folder, "tools/clerk.json", lambda it: it["tools"].update(fly={"risk": "low"}))
    assert "tools/clerk.json: $.tools.fly: the server has no such tool" in refused("apply", folder)


# On a terminal


def test_on_a_terminal_it_asks_once(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(world.northwind)
    run("export", folder)
    edit(folder, DESK, lambda it: it.update(queue="payments"))
    monkeypatch.setattr(sys, "stdin", Terminal())
    asked: list[str] = []

    def answer(text: str) -> Callable[[str], str]:
        return lambda prompt: asked.append(prompt) or text

    def gone(prompt: str) -> str:
        raise EOFError

    for typed in (answer("n"), gone):
        monkeypatch.setattr(applying, "input", typed, raising=False)
        assert "nothing was changed" in refused("apply", folder)
    monkeypatch.setattr(applying, "input", answer("y"), raising=False)
    told = run("apply", folder)
    assert asked == ["Make 1 change in northwind? [y/N] "] * 2
    assert told.count("queue: (none) -> payments") == 1 and told.endswith("northwind: 1 change made\n")
    assert run("apply", folder).splitlines()[-1] == "nothing to change" and len(asked) == 2
    edit(folder, DESK, lambda it: it.update(queue="tills"))
    run("apply", folder, yes=True)
    assert len(asked) == 2


def test_what_changed_while_it_asked_is_not_overwritten(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = make(world.northwind)
    run("export", folder)
    edit(folder, DESK, lambda it: it.update(queue="payments"))
    monkeypatch.setattr(sys, "stdin", Terminal())

    def somebody_else(prompt: str) -> str:
        with world.northwind.scope():
            actions.put_queue(world.northwind.system, "tills", workflow)
        return "y"

    monkeypatch.setattr(applying, "input", somebody_else, raising=False)
    with pytest.raises(CommandError, match="meanwhile something else was changed"):
        run("apply", folder)
    with world.northwind.scope():
        assert Workflow.objects.get(slug="desk").queue == "tills"


# Without a database


def test_values_are_the_same_as_the_database_has_them() -> None:
    assert files.same({"a": [1.0, {"b": 10**22}]}, {"a": [1, {"b": 1e22}]})
    assert not files.same({"a": 1}, {"a": True}) and not files.same([1], [1, 2]) and not files.same({"a": None}, {})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_a_file_says_what_the_document_says_and_always_in_the_same_way(document: Any) -> None:
    text = files.text(document)
    assert files.same(json.loads(text), document) and files.text(json.loads(text)) == text


def test_a_variables_name() -> None:
    assert tool_files.variable("send-sms", "X-Key") == "SAYSO_TOOL_SEND_SMS_X_KEY"
    assert changes.plain("a\tb\u202e") == "a\\tb\\u202e"
