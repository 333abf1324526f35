"""Tools that admins register: HTTP tools, MCP servers, code executors. What they do, what is refused, who may."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from console import tracing
from console.agents import executors
from console.agents.tools import NoAnswer, Unavailable
from console.audit.models import AuditRecord
from console.durable.bodies import CALL, Call
from console.workflows import http_tool, mcp_server, mcp_session, registry
from console.workflows.catalogue import UnknownTool
from console.workflows.models import Revision, Tool
from tests.agents.stage import agent, node, team
from tests.deaf import deaf
from tests.world import World

SERVER = Path(__file__).with_name("mcp_clerk.py")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@dataclass
class Bank:
    """An HTTP server that answers what it is told to."""

    url: str = ""
    answer: Any = (200, b'{"done": true}')
    seen: list[tuple[dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def bank() -> Iterator[Bank]:
    told = Bank()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            told.seen.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(raw)))
            if told.answer == "hang up":
                self.connection.close()
                return
            status, body, *more = told.answer
            self.send_response(status)
            for name, value in more[0].items() if more else ():
                self.send_header(name, value)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            with suppress(OSError):  # who has heard enough hangs up
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/pay"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def near(settings: Any) -> None:
    """What is on this machine may be reached and started."""
    settings.SAYSO_EGRESS_ALLOW = ["127.0.0.1"]
    settings.SAYSO_COMMANDS_ALLOW = [sys.executable]


def http(bank: Bank, **more: Any) -> dict[str, Any]:
    return {"kind": "http", "url": bank.url, "schema": SCHEMA, "effect": "neither", "risk": "high", **more}


def mcp(book: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "mcp", "command": f"{sys.executable} {SERVER} {book}", "effect": "neither", **more}


def put(world: World, name: str, body: Any) -> Any:
    return world.northwind.admin.api.put(f"/api/v1/tools/{name}", body)


def done(work: Any) -> Any:
    """What comes of it, on a loop of its own."""

    async def all_of_it() -> Any:
        try:
            return await work
        finally:
            await http_tool.close()

    return asyncio.run(all_of_it())


def spec(world: World, name: str) -> Any:
    with world.northwind.scope():
        return registry.of(world.northwind.tenant.id).get(name)


# HTTP tools


def test_an_http_tool_is_registered_pinned_and_called(world: World, bank: Bank) -> None:
    made = put(world, "pay", http(bank, headers={"Authorization": "Bearer hush"}, description="Pays.", owner="Finance"))
    assert made.status_code == 200, made.content
    told = made.json()
    assert (told["version"], told["approval"], told["headers"], told["schema"]) == (
        1,
        "require",
        ["Authorization"],
        SCHEMA,
    )
    assert "hush" not in made.content.decode()
    assert done(spec(world, "pay").call({"text": "x"}, "key-1")) == {"done": True}
    [(headers, sent)] = bank.seen
    assert sent == {"text": "x"}
    assert (headers["idempotency-key"], headers["authorization"]) == ("key-1", "Bearer hush")
    with world.northwind.scope():
        assert b"hush" not in bytes(Tool.objects.get(name="pay").sealed_secrets or b"")
        assert "hush" not in json.dumps([list(AuditRecord.objects.values_list("detail", flat=True))], default=str)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, b"no such account"), http_tool.Failed),
        ((302, b""), http_tool.Failed),
        ((503, b"later"), NoAnswer),  # somebody says so who may not know what is behind it
        ((503, b"later", {"retry-after": "2"}), Unavailable),
        ((429, b"busy"), Unavailable),
        ((502, b"gateway"), NoAnswer),
        ((408, b"slow"), NoAnswer),
        ((303, b""), NoAnswer),
        ((200, b"\x00", {"content-encoding": "br"}), NoAnswer),
        ((200, b"no gzip", {"content-encoding": "gzip"}), NoAnswer),
        ((500, b"oops"), NoAnswer),
        ("hang up", NoAnswer),
    ],
)
def test_what_an_http_tool_may_answer(world: World, bank: Bank, answer: Any, error: type[Exception]) -> None:
    put(world, "pay", http(bank))
    bank.answer = answer
    with pytest.raises(error) as raised:
        done(spec(world, "pay").call({"text": "x"}, "key"))
    assert type(raised.value) is error and len(bank.seen) == 1
    if "retry-after" in (answer[2] if len(answer) == 3 else {}):
        assert raised.value.wait == 2.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("packed", [False, True])
def test_fifty_megabytes_are_read_no_further_than_they_are_kept(world: World, bank: Bank, packed: bool) -> None:
    put(world, "pay", http(bank))
    if packed:
        bomb = gzip.compress(b"x" * 50_000_000)
        bank.answer = (200, bomb, {"content-encoding": "gzip"})
    else:
        bank.answer = (200, (b"x" * 65536 for _ in range(800)))
    call = spec(world, "pay").call
    tracemalloc.start()
    try:
        found = done(call({"text": "x"}, "key"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(found) == {"x"} and 256 * 1024 < len(found) < 1024 * 1024 and peak < 16 * 1024 * 1024


def test_what_was_packed_is_unpacked(world: World, bank: Bank) -> None:
    put(world, "pay", http(bank))
    for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        bank.answer = (200, pack(b'{"paid": 7}'), {"content-encoding": name})
        assert done(spec(world, "pay").call({"text": "x"}, "key")) == {"paid": 7}
    assert bank.seen[0][0]["accept-encoding"] == "identity"


def test_a_connection_that_hangs_fails_before_anything_was_sent(
    world: World, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_tool, "CONNECTING", 0.1)
    with deaf() as url:
        put(world, "pay", http(bank, timeout="PT1H") | {"url": url})
        with pytest.raises(Unavailable) as raised:
            done(spec(world, "pay").call({"text": "x"}, "key"))
    assert type(raised.value) is Unavailable and raised.value.cause == "connect_timeout"


@pytest.mark.parametrize("key", ["r-1:refund é", "a\nb: c", "x\x00", "€" * 100])
def test_any_key_can_be_sent(world: World, bank: Bank, key: str) -> None:
    put(world, "pay", http(bank))
    done(spec(world, "pay").call({"text": "x"}, key))
    sent = bank.seen[0][0]["idempotency-key"]
    assert sent.isascii() and sent.isprintable() and sent != "x"


def test_a_tool_may_name_its_deeds(world: World, bank: Bank) -> None:
    made = put(world, "pay", http(bank, action="pay {text}", action_scope="topic_source"))
    assert made.status_code == 200, made.content
    assert (made.json()["action"], made.json()["action_scope"]) == ("pay {text}", "topic_source")
    kept = spec(world, "pay")
    assert (kept.deed({"text": "x"}), kept.action_scope) == ("pay x", "topic_source")
    assert put(world, "pay", http(bank)).json()["version"] == 2 and spec(world, "pay").action is None
    page = world.northwind.admin.client.get("/tools/").content.decode()
    assert 'name="action"' in page and "pay {text}" not in page
    put(world, "pay", http(bank, action="pay {text}"))
    assert "pay {text}" in world.northwind.reviewer.client.get("/tools/").content.decode()


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"action": "pay {who}"}, "$.action"),
        ({"action": "pay {text.inner}"}, "$.action"),
        ({"action": "pay {note}"}, "$.action"),  # may be left out
        ({"action": "pay {text"}, "$.action"),
        ({"action": "pay {}"}, "$.action"),
        ({"action": " "}, "$.action"),
        ({"action": "a\nb"}, "$.action"),
        ({"action": "x" * 121}, "$.action"),
        ({"action": 7}, "$.action"),
        ({"action": ["pay"]}, "$.action"),
        ({"action": "pay {text}", "effect": "read_only"}, "$.action"),
        ({"action": "pay {text}", "action_scope": "tenant"}, "$.action_scope"),
        ({"action": "pay {text}", "action_scope": {}}, "$.action_scope"),
        ({"action_scope": "run"}, "$.action_scope"),
    ],
)
def test_a_name_that_tells_no_deeds_apart_is_refused(world: World, bank: Bank, more: Any, path: str) -> None:
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "note": {"type": "string"}}}  # type: ignore[dict-item]
    answer = put(world, "pay", http(bank, **{"schema": schema, **more}))
    assert answer.status_code == 422 and path in [each["path"] for each in answer.json()["errors"]]
    with world.northwind.scope():
        assert not Tool.objects.exists()


def test_the_form_takes_the_name_of_a_deed(world: World, bank: Bank) -> None:
    typed = {
        "name": "pay", "kind": "http", "url": bank.url, "effect": "neither", "risk": "low", "schema": json.dumps(SCHEMA),
        "action": "pay {who}", "action_scope": "run",
    }  # fmt: skip
    client = world.northwind.admin.client
    refused = client.post("/tools/", typed)
    assert refused.status_code == 422 and "is no argument in the schema" in refused.content.decode()
    assert client.post("/tools/", {**typed, "action": "pay {text}"}).status_code == 302
    assert spec(world, "pay").action == "pay {text}"
    assert client.post("/tools/", {**typed, "name": "other", "action": ""}).status_code == 302


def test_a_name_of_deeds_is_not_for_other_kinds(world: World, tmp_path: Path) -> None:
    answer = put(world, "clerk", mcp(tmp_path / "book", action="write {text}"))
    assert answer.status_code == 422 and answer.json()["errors"][0]["path"] == "$.action"


def test_an_address_inside_is_not_called(world: World, bank: Bank, settings: Any) -> None:
    put(world, "pay", http(bank))
    settings.SAYSO_EGRESS_ALLOW = []
    with pytest.raises(Unavailable, match="private address"):
        done(spec(world, "pay").call({"text": "x"}, "key"))
    assert bank.seen == []


def test_a_change_is_a_new_version_and_the_same_is_none(world: World, bank: Bank) -> None:
    first = http(bank, headers={"X-Key": "one"})
    assert [put(world, "pay", body).json()["version"] for body in (first, first)] == [1, 1]
    assert put(world, "pay", http(bank, risk="low")).json()["version"] == 2  # the header is kept
    assert put(world, "pay", http(bank, risk="low", headers={"X-Key": "two"})).json()["version"] == 3
    with world.northwind.scope():
        tools = registry.of(world.northwind.tenant.id)
        assert (tools.get("pay").risk, tools.get("pay", 1).risk) == ("low", "high")
    done(spec(world, "pay").call({"text": "x"}, "key"))
    assert bank.seen[0][0]["x-key"] == "two"
    moved = http(bank, risk="low")
    moved["url"] += "/elsewhere"
    assert put(world, "pay", moved).json()["headers"] == []  # a secret does not go where it was not given for


# MCP servers

ORIGIN = tracing.origin(UUID(int=7), f"00-{'ab' * 16}-{'cd' * 8}-01")
PLACE = ORIGIN.at("step", "clerk/tools", 3).parent


def from_a_run(tool: Any) -> Any:
    """What a call says that is made in a step of a run whose starter was traced."""

    async def step() -> Any:
        tracing.RUN.set(ORIGIN)
        CALL.set(Call("clerk/tools", 3, "key", None, None))
        return await tool.call({}, "key")

    return done(step())


def test_an_mcp_server_lists_its_tools_and_does_what_it_is_asked(world: World, tmp_path: Path) -> None:
    book = tmp_path / "book"
    own = {"read_book": {"effect": "read_only", "risk": "low"}}
    made = put(world, "clerk", mcp(book, tools=own, env={"BOOK_KEY": "hush"}))
    assert made.status_code == 200, made.content
    tools = {tool["name"]: tool for tool in made.json()["tools"]}
    assert tools.keys() == {"write_down", "read_book", "tear", "vanish", "secrets", "whence"}
    assert (tools["read_book"]["approval"], tools["write_down"]["approval"]) == ("allow", "require")
    assert done(spec(world, "clerk.write_down").call({"text": "hello"}, "key")) == {"result": "Written: hello"}
    assert book.read_text() == "hello\n"
    with pytest.raises(http_tool.Failed, match="torn"):
        done(spec(world, "clerk.tear").call({}, "key"))
    assert done(spec(world, "clerk.secrets").call({}, "key")) == {"result": "BOOK_KEY"}
    assert done(spec(world, "clerk.whence").call({}, "key")) == {"result": "key"}  # nobody traces it
    place = from_a_run(spec(world, "clerk.whence"))
    assert place == {"result": f"{PLACE} key"}


@pytest.fixture
def clerk_at(tmp_path: Path) -> Iterator[str]:
    """The address of the same server over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        process = subprocess.Popen([sys.executable, str(SERVER), str(tmp_path / "book"), str(fd)], pass_fds=[fd])
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


def test_an_mcp_server_is_reached_over_http_with_its_key(world: World, clerk_at: str, tmp_path: Path) -> None:
    body = {"kind": "mcp", "url": clerk_at, "effect": "neither"}
    closed = put(world, "clerk", body)
    assert closed.status_code == 422 and "401" in closed.json()["errors"][0]["message"]
    made = put(world, "clerk", body | {"headers": {"Authorization": "Bearer hush"}})
    assert made.status_code == 200, made.content
    assert "hush" not in made.content.decode()
    assert done(spec(world, "clerk.write_down").call({"text": "over HTTP"}, "key")) == {"result": "Written: over HTTP"}
    assert (tmp_path / "book").read_text() == "over HTTP\n"
    assert from_a_run(spec(world, "clerk.whence")) == {"result": f"{PLACE} key {PLACE}"}
    with pytest.raises(http_tool.Failed, match="torn"):
        done(spec(world, "clerk.tear").call({}, "key"))
    hasty = put(world, "clerk", body | {"headers": {"Authorization": "Bearer hush"}, "timeout": "PT3S"})
    assert hasty.status_code == 200, hasty.content
    with pytest.raises(NoAnswer):  # nothing tells that it is gone but its silence
        done(spec(world, "clerk.vanish").call({"text": "done"}, "key"))
    with pytest.raises(Unavailable):  # it is gone now
        done(spec(world, "clerk.read_book").call({}, "key"))


def test_a_server_that_is_gone_before_it_answers_leaves_doubt(world: World, tmp_path: Path) -> None:
    book = tmp_path / "book"
    put(world, "clerk", mcp(book))
    with pytest.raises(NoAnswer):
        done(spec(world, "clerk.vanish").call({"text": "done"}, "key"))
    assert book.read_text() == "done\n"


def test_a_server_that_cannot_be_started_is_refused_when_it_is_registered(world: World, tmp_path: Path) -> None:
    broken = mcp(tmp_path / "book") | {"command": f"{sys.executable} -c pass"}
    answer = put(world, "clerk", broken)
    assert answer.status_code == 422 and answer.json()["errors"][0]["path"] == "$.command"
    strange = put(world, "clerk", mcp(tmp_path / "book", tools={"fly": {}}))
    assert [each["path"] for each in strange.json()["errors"]] == ["$.tools.fly"]
    with world.northwind.scope():
        assert not Tool.objects.exists()


def test_only_named_commands_are_started(world: World, tmp_path: Path, settings: Any) -> None:
    put(world, "clerk", mcp(tmp_path / "book"))
    settings.SAYSO_COMMANDS_ALLOW = []
    answer = put(world, "other", mcp(tmp_path / "book"))
    assert answer.status_code == 422 and "SAYSO_COMMANDS_ALLOW" in answer.json()["errors"][0]["message"]
    with pytest.raises(Unavailable, match="SAYSO_COMMANDS_ALLOW"):
        done(spec(world, "clerk.read_book").call({}, "key"))
    assert mcp_server.command_fault("'") and mcp_server.command_fault(" ")


def test_a_documents_mcp_workbench_becomes_the_servers_tools(world: World, tmp_path: Path) -> None:
    put(world, "clerk", mcp(tmp_path / "book"))
    server = {"type": "StdioServerParams", "command": "rm", "args": ["-rf", "/"]}
    bench = {**node("autogen_ext.tools.mcp.McpWorkbench", "workbench", server_params=server), "label": "Books"}
    document = team("RoundRobinGroupChat", agent("a", workbench=[bench]))
    api = world.northwind.admin.api
    api.post("/api/v1/workflows", {"slug": "books", "name": "Books"})
    refused = api.post("/api/v1/workflows/books/revisions", {"team": document})
    assert refused.status_code == 422 and "'Books'" in refused.json()["errors"][0]["message"]
    made = api.post("/api/v1/workflows/books/revisions", {"team": document, "tools": {"Books": "clerk"}})
    assert made.status_code == 201, made.content
    with world.northwind.scope():
        body = json.dumps(Revision.objects.get(workflow__slug="books").body)
    assert "rm" not in body.split('"') and '"clerk.write_down"' in body
    page = world.northwind.reviewer.client.get("/workflows/books/").content.decode()
    assert "write_down" in page and "Write a line into the book." in page


# Code


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Docker's client leaves a socket behind
def test_without_docker_a_code_tool_is_there_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    made = put(world, "python", {"kind": "code", "image": "python:3.11-slim", "effect": "neither", "memory": "256m"})
    assert made.status_code == 200, made.content
    with pytest.raises(Unavailable, match="Docker is not there"):
        done(spec(world, "python").call({"code": "print(1)"}, "key"))
    assert "Docker is not there" in executors.state()
    listed = {tool["name"]: tool for tool in world.northwind.reviewer.api.get("/api/v1/tools").json()["items"]}
    assert listed["python"]["state"] == "unavailable" and "Docker is not there" in listed["python"]["why"]
    assert listed["calculator"]["state"] == "ready" and listed["calculator"]["why"] == ""
    assert listed["issue_refund"]["owner"] == "Payments"
    assert "no Docker here" in world.northwind.reviewer.client.get("/tools/").content.decode()
    gc.collect()


def test_a_container_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}

    class Containers:
        def create(self, *args: Any, **options: Any) -> Any:
            made.update(options)
            raise RuntimeError("made")

    class Client:
        containers = Containers()

    class Module:
        def from_env(self) -> Any:
            return Client()

    executors._bounds.set(executors.Bounds("python:3.11-slim", "256m", False, 5))
    with pytest.raises(RuntimeError, match="made"):
        executors._Docker(Module()).from_env().containers.create("python:3.11-slim", name="x")
    assert (made["mem_limit"], made["memswap_limit"], made["network_disabled"], made["name"]) == (
        "256m",
        "256m",
        True,
        "x",
    )
    executors._bounds.set(executors.Bounds("python:3.11-slim", "256m", True, 5))
    with pytest.raises(RuntimeError):
        executors._Docker(Module()).from_env().containers.create("x")
    assert made["network_disabled"] is False


# What is refused, and who may


@pytest.mark.parametrize(
    ("name", "change", "path"),
    [
        ("Pay", {}, "$.name"),
        ("pay.all", {}, "$.name"),
        ("calculator", {}, "$.name"),
        ("pay", {"kind": "soap"}, "$.kind"),
        ("pay", {"effect": None}, "$.effect"),
        ("pay", {"effect": "maybe"}, "$.effect"),
        ("pay", {"risk": "none"}, "$.risk"),
        ("pay", {"url": "ftp://x"}, "$.url"),
        ("pay", {"url": "http://user:secret@x/"}, "$.url"),
        ("pay", {"schema": None}, "$.schema"),
        ("pay", {"schema": {"type": "array"}}, "$.schema"),
        ("pay", {"schema": {"type": "object", "properties": 7}}, "$.schema.properties"),
        ("pay", {"timeout": "soon"}, "$.timeout"),
        ("pay", {"headers": {"X": 1}}, "$.headers"),
        ("pay", {"headers": {"X\n": "1"}}, "$.headers"),
        ("pay", {"command": "rm"}, "$.command"),
        ("pay", {"title": "x" * 201}, "$.title"),
    ],
)
def test_what_no_tool_is(world: World, bank: Bank, name: str, change: dict[str, Any], path: str) -> None:
    answer = put(world, name, {**http(bank), **change})
    assert answer.status_code == 422, answer.content
    assert path in [each["path"] for each in answer.json()["errors"]]


def test_a_revoked_tool_is_gone_for_all_until_it_is_reinstated(world: World, bank: Bank) -> None:
    put(world, "pay", http(bank))
    admin = world.northwind.admin.api
    for name in ("pay", "calculator"):
        assert admin.post(f"/api/v1/tools/{name}/revoke", {"reason": "It misbehaves"}).json()["state"] == "revoked"
        assert admin.get(f"/api/v1/tools/{name}").json()["state"] == "revoked"
        with pytest.raises(UnknownTool, match="revoked"):
            spec(world, name)
        with world.northwind.scope():
            assert name not in registry.of(world.northwind.tenant.id).all()
        with world.fabrikam.scope():
            assert ("calculator" in registry.of(world.fabrikam.tenant.id).all()) and name != "ghost"
        assert admin.post(f"/api/v1/tools/{name}/reinstate", {}).json()["state"] == "ready"
        assert spec(world, name).name == name
    assert admin.post("/api/v1/tools/ghost/revoke", {}).status_code == 404


def test_only_admins_register_and_every_member_reads(world: World, bank: Bank) -> None:
    put(world, "pay", http(bank))
    for member in world.northwind.members:
        listed = member.api.get("/api/v1/tools").json()["items"]
        assert {"pay", "calculator"} <= {tool["name"] for tool in listed}
        if member.role != "admin":
            assert member.api.put("/api/v1/tools/pay", http(bank)).status_code == 403
            assert member.api.post("/api/v1/tools/pay/reinstate", {}).status_code == 403
            assert member.api.post("/api/v1/tools/pay/revoke", {}).status_code == 403
    assert world.fabrikam.admin.api.get("/api/v1/tools/pay").status_code == 404


def test_the_catalogues_page(world: World, bank: Bank) -> None:
    client = world.northwind.admin.client
    form = {
        "name": "pay", "kind": "http", "url": bank.url, "effect": "neither", "risk": "high", "schema": json.dumps(SCHEMA),
        "secrets": "Authorization: Bearer hush", "command": "", "description": "Pays.",
    }  # fmt: skip
    assert client.post("/tools/", form)["Location"] == "/tools/?saved=pay"
    page = world.northwind.reviewer.client.get("/tools/").content.decode()
    assert "sends Authorization" in page and "hush" not in page and "Register a tool" not in page
    for change, said in (
        ({"schema": "{"}, "It is no JSON"),
        ({"effect": ""}, "what would it mean"),
        ({"name": "X"}, "small letters"),
    ):
        answer = client.post("/tools/", {**form, **change})
        assert answer.status_code == 422 and said in answer.content.decode()
        assert "hush" not in answer.content.decode()
    assert client.post("/tools/pay/", {"do": "revoke"}).status_code == 302
    assert "revoked" in client.get("/tools/").content.decode()
    assert client.post("/tools/pay/", {"do": "reinstate"}).status_code == 302
    assert client.post("/tools/ghost/", {"do": "revoke"}).status_code == 404
    assert world.northwind.operator.client.post("/tools/", form).status_code == 403
    assert world.northwind.operator.client.post("/tools/pay/", {"do": "revoke"}).status_code == 403
    assert (
        "pay"
        not in world.fabrikam.admin.client.get("/tools/").content.decode().split("<section")[1].split("</section")[0]
    )


def test_an_mcp_servers_answer_is_read_no_further_than_its_limit(bank: Bank) -> None:
    bank.answer = (200, (b"x" * 65536 for _ in range(800)))

    async def ask() -> None:
        async with httpx.AsyncClient(transport=mcp_session.Bounded()) as client:
            await client.post(bank.url, json={})

    with pytest.raises(httpx.ReadError, match="longer than"):
        asyncio.run(ask())
