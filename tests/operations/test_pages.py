"""The page of operations: who sees what, each state in words, and what it does when a store is away."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from redis.exceptions import ConnectionError as Away

from console.operations import figures, heartbeats, verdicts
from console.operations.figures import Figures, Queue
from console.operations.heartbeats import Heard, Worker
from console.runs import feed
from console.runs.models import Run, RunStatus
from console.tenants import crypto
from console.tenants.models import User
from console.workflows.models import Revision, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def anew() -> None:
    figures.forget()


class Valkey:
    """The keys that processes keep."""

    def __init__(self, keys: dict[str, Any] | None = None) -> None:
        self.keys = {
            name: json.dumps(value).encode() if not isinstance(value, bytes) else value
            for name, value in (keys or {}).items()
        }

    def ping(self) -> bool:
        return True

    def get(self, name: str) -> bytes | None:
        return self.keys.get(name)

    def scan_iter(self, pattern: str, count: int) -> list[bytes]:
        return [name.encode() for name in self.keys if name.startswith(pattern.rstrip("*"))]

    def mget(self, names: list[bytes]) -> list[bytes | None]:
        return [self.keys.get(name.decode()) for name in names]


class Gone(Valkey):
    def ping(self) -> bool:
        raise Away


def beats(**more: Any) -> dict[str, Any]:
    return {
        "at": time.time(),
        "since": time.time() - 90,
        "queues": ["runs"],
        "slots": 256,
        "used": 3,
        "held": 2,
        **more,
    }


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Any:
    def have(found: Valkey) -> Valkey:
        monkeypatch.setattr(feed, "redis_client", lambda: found)
        return found

    have(Valkey({"sayso:worker:celery@one": beats(), "sayso:swept": time.time(), "sayso:web:h:1": {"sockets": 7}}))
    return have


def a_run(house: Any, title: str = "Refund order 7", **facts: Any) -> Run:
    tenant = house.tenant
    now = timezone.now()
    known = {"status": RunStatus.RUNNING, "lease_owner": "celery@one", "leased_at": now - timedelta(seconds=4),
             "lease_until": now + timedelta(seconds=9)}  # fmt: skip
    with house.scope():
        workflow, _ = Workflow.objects.get_or_create(tenant=tenant, slug="desk", defaults={"name": "Desk"})
        revision, _ = Revision.objects.get_or_create(tenant=tenant, workflow=workflow, number=1, defaults={"body": {}})
        return Run.objects.create(
            tenant=tenant, workflow=workflow, revision=revision, title=title,
            sealed_input=crypto.seal(tenant.id, "run.input", b'"x"'), **{**known, **facts},
        )  # fmt: skip


def say(house: Any, run: Run, kind: str, /, **payload: Any) -> None:
    with house.scope():
        feed.publish(house.tenant.id, feed.run_topic(run.id), kind, payload)


def test_every_member_sees_the_machinery_and_their_own_runs_alone(world: Any, valkey: Any) -> None:
    a_run(world.northwind, "Refund of ours")
    a_run(world.fabrikam, "Refund of theirs")
    for member in world.northwind.members:
        page = member.client.get("/operations/").content.decode()
        assert "celery@one" in page and "3 of 256" in page and "all is well" in page
        assert "Refund of ours" in page and "Refund of theirs" not in page
        figures.forget()


def test_who_is_not_logged_in_is_asked_to(client: Any, world: Any) -> None:
    assert client.get("/operations/").status_code == 302
    assert world.northwind.admin.client.get("/platform/operations/").status_code in (403, 404)
    assert world.northwind.admin.client.post("/operations/").status_code == 405


def test_the_last_events_are_there_without_a_script_in_facts(world: Any, valkey: Any) -> None:
    run = a_run(world.northwind, "Refund <b>order</b> 7")
    say(world.northwind, run, "message", index=0, type="TextMessage", source="writer", content="a secret of theirs")
    say(world.northwind, run, "step", kind="tool", name="issue_refund", agent="payer", status="failed", seq=3)
    page = world.northwind.operator.client.get("/operations/").content.decode()
    assert "issue_refund" in page and "TextMessage" in page and "&lt;b&gt;order" in page
    assert "a secret" not in page
    for query, there in (("kind=tool", True), ("kind=message", False), ("agent=PAY", True), ("status=trouble", True),
                         ("workflow=none", False), ("text=order", True), ("text=nothing+of+it", False)):  # fmt: skip
        shown = "issue_refund" in world.northwind.operator.client.get(f"/operations/?{query}").content.decode()
        assert shown is there, query
    assert "issue_refund" not in world.fabrikam.operator.client.get("/operations/").content.decode()


@pytest.mark.parametrize(
    "query", ["kind=chunk", "status=soso", "text=" + "x" * 300, "agent=a%00b", "workflow=" + "w" * 201]
)
def test_nonsense_in_the_address_is_named_and_shows_everything(world: Any, valkey: Any, query: str) -> None:
    answer = world.northwind.operator.client.get(f"/operations/?{query}")
    assert answer.status_code == 422 and f"{query.partition('=')[0]}:" in answer.content.decode()
    assert "Is it well?" in answer.content.decode()


def test_the_part_that_is_asked_for_again_is_the_machinery_alone(world: Any, valkey: Any) -> None:
    part = world.northwind.operator.client.get("/operations/", headers={"HX-Request": "true"}).content.decode()
    assert "Is it well?" in part and "<html" not in part and "As it happens" not in part


def test_without_valkey_it_says_so_and_shows_what_postgres_knows(world: Any, valkey: Any) -> None:
    valkey(Gone())
    a_run(world.northwind, "Still at work")
    page = world.northwind.operator.client.get("/operations/").content.decode()
    assert "does not answer: no live updates" in page and "Still at work" in page and "celery@one" in page


def test_an_older_workers_heartbeat_and_a_broken_one_count_as_workers(world: Any, valkey: Any) -> None:
    found = valkey(Valkey({
        "sayso:worker:old@one": str(time.time()).encode(), "sayso:worker:odd@two": b"\xff{", "sayso:worker:odd@three": b"[]",
        "sayso:worker:odd@four": {"slots": "many", "since": None, "queues": None},
    }))  # fmt: skip
    heard = heartbeats.listen(found)
    assert [each.name for each in heard.workers] == ["odd@four", "odd@three", "odd@two", "old@one"]
    assert world.northwind.operator.client.get("/operations/").status_code == 200


def test_a_platform_admin_sees_numbers_and_no_content(world: Any, valkey: Any, client: Any) -> None:
    a_run(world.northwind, "Refund of ours")
    a_run(world.fabrikam, "Refund of theirs")
    user = User.objects.create(username=f"petra-{uuid4().hex[:6]}", is_superuser=True)
    client.force_login(user)
    page = client.get("/platform/operations/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "2 in flight" in text and "Refund of" not in text and "desk" not in text


def test_forty_workers_and_long_names_are_all_there(world: Any, valkey: Any) -> None:
    valkey(Valkey({f"sayso:worker:celery@{'very-long-name-' * 5}{n}": beats() for n in range(40)}))
    page = world.northwind.operator.client.get("/operations/").content.decode()
    assert page.count("celery@very-long-name-") == 40


def test_the_list_of_runs_is_bounded_and_says_how_many_more(world: Any, valkey: Any) -> None:
    for number in range(figures.SHOWN + 3):
        a_run(world.northwind, f"Run {number}")
    page = world.northwind.operator.client.get("/operations/").content.decode()
    assert (
        page.count('id="flying-') - page.count('id="flying-title"') == figures.SHOWN and "3 more are not shown" in page
    )


def test_the_number_of_queries_does_not_grow_with_what_there_is(
    world: Any, valkey: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        run = a_run(world.northwind, f"Run {number}")
        say(world.northwind, run, "status", status="running")
    world.northwind.operator.client.get("/operations/")
    figures.forget()
    with django_assert_max_num_queries(24):
        world.northwind.operator.client.get("/operations/")


# --- What is said of each figure -------------------------------------------------------------------------------------

NONE = dict.fromkeys(("queued", "running", "waiting", "late", "expired", "newer", "aimless"), 0)


def of(**more: Any) -> Figures:
    known: dict[str, Any] = {
        "took": 0.001, "flying": (), "counts": NONE | more.pop("counts", {}), "longest_s": None, "owners": {}, "queues": (),
        "outbox": {"pending": 0, "failed": 0, "unspread": 0, "dead": 0} | more.pop("outbox", {}), "outbox_oldest_s": None,
    }  # fmt: skip
    return Figures(**{**known, **more})


WELL = Heard(True, 0.001, (Worker("one", 1.0, None, ("runs",), 256, 3, 2),), 7, 0, 1)


@pytest.mark.parametrize(
    ("name", "state", "words", "found", "heard", "swept"),
    [
        ("workers", "trouble", "no worker", of(), Heard(True), 1.0),
        ("workers", "trouble", "two hold runs and are silent", of(owners={"two": 3}), WELL, 1.0),
        ("workers", "look", "last heard of", of(), Heard(True, 0.0, (Worker("one", 8.0),)), 1.0),
        ("workers", "look", "nearly full", of(), Heard(True, 0.0, (Worker("one", 1.0, None, ("runs",), 10, 10),)), 1.0),
        ("workers", "look", "cannot be read", of(owners={"one": 1}), Heard(False), None),
        ("queues", "trouble", "no worker listens to payments", of(queues=(Queue("payments", 2, 1.0),)), WELL, 1.0),
        ("queues", "look", "45.0 s in runs", of(queues=(Queue("runs", 2, 45.0),)), WELL, 1.0),
        ("queues", "trouble", "10 min in runs", of(queues=(Queue("runs", 2, 600.0),)), WELL, 1.0),
        ("queues", "well", "2 ready", of(queues=(Queue("runs", 2, 1.0),)), WELL, 1.0),
        ("runs", "trouble", "1 waits, and neither", of(counts={"aimless": 1}), WELL, 1.0),
        ("runs", "look", "newer version", of(counts={"newer": 4}), WELL, 1.0),
        ("leases", "look", "2 of 9", of(counts={"late": 2, "running": 9}), WELL, 1.0),
        ("leases", "trouble", "1 ran out", of(counts={"expired": 1, "running": 9}), WELL, 1.0),
        ("sweeper", "look", "swept 8 s ago", of(), WELL, 8.0),
        ("sweeper", "trouble", "nothing has been swept for 2 min", of(), WELL, 120.0),
        ("sweeper", "trouble", "lately", of(), WELL, None),
        ("Postgres", "look", "answers in 400 ms", of(took=0.4), WELL, 1.0),
        ("Valkey", "trouble", "does not answer", of(), Heard(False), None),
        ("Valkey", "look", "answers in 500 ms", of(), Heard(True, 0.5, WELL.workers), 1.0),
        ("notices", "look", "1 was given up", of(outbox={"dead": 1}), WELL, 1.0),
        ("notices", "look", "due for 3 min", of(outbox_oldest_s=180.0), WELL, 1.0),
        ("live pages", "look", "60 read more slowly", of(), Heard(True, 0.0, WELL.workers, 100, 60, 1), 1.0),
        ("live pages", "well", "7 listen to 1 web process", of(), WELL, 1.0),
    ],
)
def test_each_figure_has_a_state_a_reason_and_where_it_is_not_well_a_remedy(
    name: str, state: str, words: str, found: Figures, heard: Heard, swept: float | None
) -> None:
    judged = verdicts.judge(found, heard, swept)
    one = next(each for each in judged if each.name == name)
    assert (one.state, bool(one.remedy)) == (state, state != "well") and words in one.says
    ranks = [("trouble", "look", "well").index(each.state) for each in judged]
    assert ranks == sorted(ranks)
    assert verdicts.overall(judged)[0] == judged[0].state
