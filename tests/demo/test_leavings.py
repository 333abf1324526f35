"""What killed benchmarks leave: it goes, out of lists and figures; and nothing else does."""

import pytest
from django.core.management import CommandError, call_command

from approvals.models import ApprovalRequest
from console.bench import leavings
from console.bench.tenant import bench_actor, waiting_requests
from console.management.commands.bench import BENCHES
from console.runs import feed
from console.runs.models import FeedEvent, Run
from console.tenants.models import Membership
from console.tenants.scopes import system_scope, tenant_scope
from telemetry import reading
from telemetry.models import PLATFORM, ApprovalRollup, RequestFact, RunFact, RunRollup
from tests.telemetry.journal import Journal, project, wrong

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    monkeypatch.setattr(reading, "SETTLED", reading.EVERYTHING)


def _platform() -> int:
    with system_scope("tests: sums"):
        rows = ApprovalRollup.objects.filter(tenant=PLATFORM, grain="d", cut="all", part="")
        runs = RunRollup.objects.filter(tenant=PLATFORM, grain="d", cut="all", part="")
        return sum(row.raised for row in rows) + sum(row.started for row in runs)


def test_what_was_left_is_in_no_list_and_no_figure_and_others_stay(world):
    Journal(world.northwind.tenant).run()
    project()
    before = _platform()
    actor = bench_actor()
    waiting_requests(actor, 3)
    project()
    assert _platform() == before + 6
    assert leavings.sweep() == 3
    assert _platform() == before
    with system_scope("tests: what is left"):
        assert Run.objects.count() == 1 and not ApprovalRequest.objects.exists()
        assert not RequestFact.objects.exists() and RunFact.objects.count() == 1
        assert not RunRollup.objects.filter(tenant=actor.tenant).exists()
        assert not FeedEvent.objects.filter(tenant=actor.tenant, topic__startswith="run:").exists()
        assert FeedEvent.objects.filter(topic=feed.queue_topic(actor.tenant.id)).exists()  # it was announced
    project()
    assert wrong() == []
    assert leavings.sweep() == 0


def test_it_is_left_alone_while_a_benchmark_is_at_work(world):
    waiting_requests(bench_actor(), 1)
    with leavings.alone() as free:
        assert free and leavings.sweep() == 0
        with leavings.alone() as second:
            assert not second
    assert leavings.sweep() == 1


def test_a_tenant_of_that_name_in_which_people_work_is_nobody_elses(world):
    actor = bench_actor()
    waiting_requests(actor, 1)
    with tenant_scope(actor.tenant):
        Membership.objects.create(tenant=actor.tenant, user=world.outsider, role="admin", active=False)
    assert leavings.sweep() == 0
    with pytest.raises(RuntimeError, match="has people who work in it"):
        bench_actor()
    with tenant_scope(actor.tenant):
        assert Run.objects.count() == 1


def test_so_much_goes_at_a_start_and_the_rest_later(world, monkeypatch):
    monkeypatch.setattr(leavings, "AT_ONCE", 1)
    actor = bench_actor()
    waiting_requests(actor, 2)
    assert leavings.clear(actor.tenant, 0.0) == 0
    assert leavings.sweep() == 2
    assert leavings.sweep() == 0


def test_the_next_benchmark_begins_without_it_and_two_do_not_run_at_once(world, monkeypatch, capsys):
    actor = bench_actor()
    waiting_requests(actor, 1)
    seen = []

    def measure():
        with tenant_scope(actor.tenant):
            seen.append(Run.objects.count())
        return {}, {}

    monkeypatch.setitem(BENCHES, "replay", measure)
    monkeypatch.setenv("DATABASE_URL", "postgres://here")
    call_command("bench", "replay", "--json")
    assert seen == [0]
    with leavings.alone(), pytest.raises(CommandError, match="another benchmark is at work"):
        call_command("bench", "replay", "--json")


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_an_instance_starts_without_it(world, capsys):
    waiting_requests(bench_actor(), 2)
    call_command("prepare_database", "--no-roles", verbosity=0)
    assert "2 runs of a benchmark that was killed are removed" in capsys.readouterr().err
    call_command("prepare_database", "--no-roles", verbosity=0)
    assert capsys.readouterr().err == ""
