"""Every line names the request, the tenant, the run and the step it comes of; no line has a secret, or is two."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from django.conf import settings as django_settings
from django.test import Client

from console import logs, tracing
from console.up.logs import Log
from tests.telemetry.stage import Desk


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged so far, as SAYSO_LOG=json writes it."""
    given = django_settings.LOGGING["formatters"]["structured"]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=given["foreign_pre_chain"],
        processors=[*given["processors"][:-1], structlog.processors.JSONRenderer()],
    )
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(logs.Seldom())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


NOISE = ("asyncio", "httpcore", "httpx", "httpx2", "httpcore2", "urllib3", "openai", "markdown_it")
Lines = Callable[[], list[dict[str, Any]]]


def test_one_run_from_http_to_its_tool(desk: Desk, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(run_id: Any, *, resume: bool, queue: str = "") -> bool:
        logging.getLogger("console.runs.wakeups").warning("no wake-up could be sent")
        return True

    monkeypatch.setattr("console.runs.wakeups.send", send)
    before = len(lines())
    run = desk.start(**{"X-Request-ID": "order-4711"})
    of_web = [line for line in lines()[before:] if not line["logger"].startswith(NOISE)]
    structlog.contextvars.clear_contextvars()  # the worker is another process
    begun = len(lines())
    desk.advance(run)
    desk.decide(run, **{"X-Request-ID": "decision-1"})
    structlog.contextvars.clear_contextvars()
    again = len(lines())
    desk.advance(run)
    of_workers = [line for line in lines()[begun:] if line.get("request_id") == "order-4711"]
    assert of_web and {(line["request_id"], line["tenant"]) for line in of_web} == {("order-4711", "northwind")}
    assert of_workers and {line["run"] for line in of_workers} == {str(run.pk)}
    assert {line["tenant"] for line in of_workers} == {"northwind"}
    acting = [line for line in lines()[again:] if line["logger"] == "sayso.system_scope"]
    # All but the claim itself: only when the run is claimed is it known where it comes from.
    assert {line["event"] for line in acting if "run" not in line} <= {"Acting as sayso_system: a worker claims a run"}
    [(headers, _)] = desk.bank.seen
    assert headers["x-request-id"] == "order-4711"


def test_a_line_inside_an_effect_names_its_step(desk: Desk, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    from console.workflows import http_tool

    real = http_tool.check

    async def check(url: str) -> None:
        logging.getLogger("some.library").warning("about to call %s", url)
        await real(url)

    monkeypatch.setattr(http_tool, "check", check)
    run = desk.start(**{"X-Request-ID": "order-4711"})
    desk.advance(run)
    desk.decide(run)
    desk.advance(run)
    [line] = [line for line in lines() if line["logger"] == "some.library"]
    assert line["step"] == "payer/tools#1" and line["run"] == str(run.pk)
    assert (line["tenant"], line["request_id"]) == ("northwind", "order-4711")


def test_an_answer_says_its_id_and_what_django_logs_has_it(lines: Lines) -> None:
    answer = Client().get("/api/v1/runs", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 401
    assert answer.headers["X-Request-ID"] == "mine-1"
    told = [line for line in lines() if line["logger"] == "django.request"]
    assert told and {line["request_id"] for line in told} == {"mine-1"}
    other = Client().get("/healthz").headers["X-Request-ID"]
    assert other != "mine-1" and len(other) == 16


@pytest.mark.parametrize(
    "hostile",
    ["", " ", "a b", "a\tb", "x" * 65, 'a"b', "{}", "<script>", "é", "a,b", "a;b", "a\x00b", "\x7f", "a%0Ab\\n"],
)
def test_a_hostile_id_is_replaced(hostile: str) -> None:
    answer = Client().get("/healthz", headers={"X-Request-ID": hostile})
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] != hostile and len(answer.headers["X-Request-ID"]) == 16
    assert tracing.request_id(hostile) != hostile


def test_an_exception_is_one_line(lines: Lines) -> None:
    try:
        raise ValueError("two\nlines, and postgresql://ann:hush@db/sayso")
    except ValueError:
        logging.getLogger("a.library").exception("it failed")
        structlog.get_logger("ours").error("so did ours", exc_info=True)
    foreign, ours = lines()
    for line in (foreign, ours):
        assert "Traceback" in line["exception"] and "two\nlines" in line["exception"]
        assert "hush" not in line["exception"] and "db/sayso" in line["exception"]


def test_no_line_has_a_secret(lines: Lines) -> None:
    token = "sayso_" + "0" * 32 + "_" + "s3cret-" * 6
    log = logging.getLogger("a.library")
    log.warning("Authorization: Bearer %s", "abcdefghijkl")
    log.warning("called with %s as sayso_app", token)
    log.warning("key sk-abcdefghijklmnopqrstu at https://ann:hush@example.com/x?y=1")
    structlog.get_logger("ours").warning("ours", api_key="hush", cookie="hush", token=7, model="gpt-4o")
    one, two, three, four = lines()
    assert one["event"] == f"Authorization: Bearer {logs.HIDDEN}"
    assert two["event"] == f"called with {logs.HIDDEN} as sayso_app"
    assert three["event"] == f"key {logs.HIDDEN} at https://{logs.HIDDEN}@example.com/x?y=1"
    assert (four["api_key"], four["cookie"], four["token"], four["model"]) == (logs.HIDDEN, logs.HIDDEN, 7, "gpt-4o")


def test_a_collector_is_complained_about_once_a_minute() -> None:
    now = 0.0
    seldom = logs.Seldom(lambda: now)

    def record(name: str) -> logging.LogRecord:
        return logging.LogRecord(name, logging.ERROR, "", 0, "refused", (), None)

    exporter = record("opentelemetry.exporter.otlp")
    assert seldom.filter(exporter) and exporter.levelname == "WARNING"
    assert not seldom.filter(record("opentelemetry.exporter.otlp")) and seldom.filter(record("django"))
    now = 61.0
    assert seldom.filter(record("opentelemetry.exporter.otlp"))


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


def test_a_process_that_writes_json_writes_nothing_else() -> None:
    done = python(
        "import django, warnings, threading; django.setup(); warnings.warn('old')\n"
        "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join(); raise RuntimeError('the end')",
        SAYSO_LOG="json",
    )
    assert done.returncode == 1
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in told] == ["py.warnings", "sayso.process", "sayso.process"]
    assert "ZeroDivisionError" in told[1]["exception"] and "the end" in told[2]["exception"]


def test_an_unknown_format_is_refused() -> None:
    done = python("import django; django.setup()", SAYSO_LOG_FORMAT="xml")
    assert done.returncode and "it can be text or json" in done.stderr


def test_up_writes_json_where_its_processes_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAYSO_LOG", "json")
    log = Log()
    log.open(replay=False)
    log.line("web", '{"event": "x"}')
    log.line("valkey", 'ready to "serve"')
    log.line("web", "{}")
    one, two, three = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert one == {"process": "web", "event": "x"} and three == {"process": "web"}
    assert two["process"] == "valkey" and two["event"] == 'ready to "serve"'
