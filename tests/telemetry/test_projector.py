"""The projector against the journal, through everything that happens to one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from django.db import connection

from console.tenants.scopes import system_scope, tenant_scope
from console.workflows.models import SmokeTest
from telemetry import projector, query, reading, storing
from telemetry.figures import FIGURES
from telemetry.models import PLATFORM, RunFact, RunRollup, StepRollup
from telemetry.query import Scope, Window
from tests.telemetry.journal import AT, Journal, project, wrong

pytestmark = pytest.mark.django_db(transaction=True)
NOW = AT + timedelta(days=1)
WINDOW = Window.of(AT - timedelta(hours=3), AT + timedelta(days=1), NOW)


@pytest.fixture
def journal(world):
    return Journal(world.northwind.tenant)


def totals(journal, **narrowed):
    with tenant_scope(journal.tenant):
        return query.totals(Scope(journal.tenant.id, **narrowed), WINDOW, NOW)


def rows():
    with system_scope("tests: rows"):
        return {
            model: sorted(model.objects.values_list(*model.KEY, *model.MEASURES, *model.HISTOGRAMS), key=str)
            for model in (RunRollup, StepRollup)
        }


def worked(journal, at=AT):
    run = journal.run(at)
    journal.step(run, at + timedelta(seconds=5))
    journal.step(run, at + timedelta(seconds=6), kind="tool")
    journal.end(run, at + timedelta(seconds=8), active_s=3.0, queue_s=0.5, cost=Decimal("0.001"))
    return run


def test_a_run_is_counted_and_a_second_time_adds_nothing(journal):
    worked(journal)
    project()
    found = totals(journal)
    assert (found.runs, found.ended, found.completed, found.well_share) == (1, 1, 1, 1.0)
    assert (found.calls, found.tool_calls, found.input_tokens, found.cost) == (1, 1, 100, 0.001)
    assert found.machine[0] == pytest.approx(3.0, rel=0.05)
    before = rows()
    project()
    assert rows() == before
    assert wrong() == []


def test_signs_of_life_alone_write_nothing(journal):
    run = journal.run()
    project()
    with system_scope("tests: stamps"), connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM telemetry_runfact")
        before = cursor.fetchall()
    journal.beat(run)
    project()
    with system_scope("tests: stamps"), connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM telemetry_runfact")
        assert cursor.fetchall() == before


def test_steps_come_in_while_the_run_goes_on_and_each_once(journal):
    run = journal.run()
    slow = journal.step(run, open=True, kind="tool")
    journal.step(run)
    journal.beat(run)
    project()
    assert (totals(journal).calls, totals(journal).tool_calls, totals(journal).ended) == (1, 0, 0)
    journal.settle(slow, AT + timedelta(minutes=3))
    project()
    assert totals(journal).tool_calls == 0  # its run has given no sign since
    journal.beat(run)
    project()
    assert totals(journal).tool_calls == 1
    assert wrong() == []


def test_a_crash_in_the_middle_has_done_nothing(journal, monkeypatch):
    worked(journal)
    put = storing.put

    def dies(table, cells):
        put(table, cells)
        if table == "telemetry_steprollup":
            raise ConnectionError("killed")

    monkeypatch.setattr(storing, "put", dies)
    with pytest.raises(ConnectionError):
        project()
    monkeypatch.undo()
    assert rows() == {RunRollup: [], StepRollup: []}
    with system_scope("tests: facts"):
        assert not RunFact.objects.exists()
    project()
    assert totals(journal).ended == 1 and wrong() == []


def test_what_is_changed_late_is_counted_anew(journal):
    run = worked(journal)
    project()
    journal.change(run, broken_off_cost=Decimal("0.25"), cost=Decimal("0.5"), ended_at=AT + timedelta(hours=2))
    project()
    found = totals(journal)
    assert (found.ended, found.lost_cost) == (1, 0.25)
    with tenant_scope(journal.tenant):
        (line,) = query.series(Scope(journal.tenant.id), WINDOW, "ended")
    assert [at.hour for at, value in line.points if value] == [11]
    assert wrong() == []


def test_figures_that_are_read_together_are_those_read_one_by_one(journal):
    for hour in range(3):
        worked(journal)
        late = journal.run(AT + timedelta(hours=hour))
        journal.end(late, AT + timedelta(hours=hour), "budget", active_s=3.0**hour, queue_s=0.2)
    project()
    with tenant_scope(journal.tenant):
        scope = Scope(journal.tenant.id)
        told = query.together(scope, WINDOW, list(FIGURES))
        for name in FIGURES:
            (line,) = query.series(scope, WINDOW, name)
            assert told[name] == [value for _, value in line.points], name
    assert any(told["machine_p95"]) and any(told["tool_p50"]) and sum(told["ended"]) == 6


def test_a_retry_and_a_fork_count_what_they_do_themselves(journal):
    first = journal.run()
    journal.step(first)
    journal.end(first, AT, "model_error")
    for line in ({"retry_of": first}, {"fork_of": first}):
        again = journal.run(AT + timedelta(hours=1), **line)
        journal.step(again, inherited=True)
        journal.step(again, AT + timedelta(hours=1))
        journal.end(again, AT + timedelta(hours=1))
    project()
    found = totals(journal)
    assert (found.runs, found.retries, found.forks, found.calls, found.abnormal) == (3, 1, 1, 3, 1)
    assert wrong() == []


def test_a_run_that_spans_months_is_projected_piece_by_piece(journal):
    run = journal.run(datetime(2026, 9, 2, tzinfo=UTC))
    for day in range(0, 70, 2):
        journal.step(run, datetime(2026, 9, 3, tzinfo=UTC) + timedelta(days=day))
        if day % 20 == 0:
            journal.beat(run)
            project(runs=1, steps=3)
    journal.end(run, AT)
    project(runs=1, steps=3)
    with tenant_scope(journal.tenant):
        whole = Window.of(datetime(2026, 9, 1, tzinfo=UTC), NOW, NOW)
        (line,) = query.series(Scope(journal.tenant.id), whole, "calls")
    assert sum(value for _, value in line.points) == 35 and sum(bool(value) for _, value in line.points) == 35
    assert wrong() == []


def test_more_steps_than_a_batch_takes_hold_up_nobody(journal):
    long, short = journal.run(), journal.run()
    for _ in range(50):
        journal.step(long)
    journal.step(short)
    journal.end(long, AT)
    journal.end(short, AT)
    first = projector.project(upto=reading.EVERYTHING, steps=20)
    assert first.more and 0 < first.steps < 50
    project(steps=20)
    assert totals(journal).calls == 51 and wrong() == []


def test_two_projectors_at_once_are_one(journal):
    worked(journal)
    found = []

    def other():
        try:
            found.append(projector.project(upto=reading.EVERYTHING))
        finally:
            connection.close()

    with system_scope("tests: a projector at work"):
        assert projector.kept.lock()
        thread = Thread(target=other)
        thread.start()
        thread.join()
    assert found[0].busy
    project()
    assert totals(journal).ended == 1 and wrong() == []


def test_what_was_begun_earlier_and_committed_later_is_not_passed_over(journal):
    late, early = journal.run(), journal.run()
    project()
    with system_scope("tests: a transaction that takes its time"):
        journal.end(late, AT)

        def meanwhile():
            try:
                journal.end(early, AT)
                while projector.project().more:
                    pass
            finally:
                connection.close()

        thread = Thread(target=meanwhile)
        thread.start()
        thread.join()
    project()
    assert totals(journal).ended == 2 and wrong() == []


def test_a_database_restored_from_another_server_is_read_anew(journal, caplog):
    worked(journal)
    project()
    with system_scope("tests: the cursor of a server that had done more"):
        projector.kept.move(reading.RUN, reading.Place(10**15, ""))
    worked(journal)
    project()
    assert totals(journal).ended == 2
    assert "restored from another server" in caplog.text and wrong() == []


def test_an_unknown_model_is_unpriced_and_nonsense_is_odd(journal):
    run = journal.run()
    journal.step(run, name="made-up", cost=None)
    journal.step(run, usage={"input_tokens": -5, "output_tokens": "many"}, cost=None)
    journal.step(run, usage=None, cost=None)
    journal.step(run, AT - timedelta(days=2))  # before the run was made
    journal.step(run, datetime(2999, 1, 1, tzinfo=UTC))  # a clock gone wild
    journal.step(run, seconds=-30)
    journal.end(run, AT)
    project()
    found = totals(journal)
    assert (found.calls, found.unpriced) == (5, 2)
    with tenant_scope(journal.tenant):
        now = datetime.now(UTC)
        whole = Window.of(AT - timedelta(days=5), max(now, NOW), max(now, NOW))
        found = query.totals(Scope(journal.tenant.id), whole, now)
    assert (found.calls, found.input_tokens, found.odd) == (6, 400, 5)
    assert wrong() == []
    assert wrong() == []  # what was taken for the wild clock's time is remembered


def test_a_fallback_and_tries_beyond_the_first(journal):
    run = journal.run()
    ways = [
        {"credential": "a", "model": "big"},
        {"credential": "a", "model": "big"},
        {"credential": "b", "model": "small"},
    ]
    journal.step(run, attempts=ways, name="big")
    journal.end(run, AT)
    project()
    assert (totals(journal).fallbacks, totals(journal).tries_again) == (1, 2)
    assert totals(journal, model="small").calls == 1 and totals(journal, model="big").calls == 0


def test_another_tenant_and_the_application_see_nothing_of_it(journal, world):
    worked(journal)
    project()
    other = world.fabrikam.tenant
    with tenant_scope(other):
        assert query.totals(Scope(other.id), WINDOW, NOW).runs == 0
        assert query.totals(Scope(journal.tenant.id), WINDOW, NOW).runs == 0
        assert not RunRollup.objects.exists()
    with tenant_scope(journal.tenant):
        assert not RunRollup.objects.filter(tenant_id=PLATFORM).exists()
        assert query.totals(Scope(None), WINDOW, NOW).runs == 0
    with system_scope("the platform's dashboards"):
        assert query.totals(Scope(None), WINDOW, NOW).runs == 1
        (line,) = query.series(Scope(None), WINDOW, "cost", "tenant")
        assert (line.key, line.label) == ("northwind", "Northwind")


def test_smoke_tests_are_nobodys_work(journal):
    with system_scope("tests: a smoke test"):
        test = SmokeTest.objects.create(tenant=journal.tenant, workflow=journal.workflow, revision=journal.revision)
    run = journal.run(smoke_test=test)
    journal.step(run)
    journal.end(run, AT)
    project()
    assert totals(journal).runs == totals(journal).calls == 0
    assert wrong() == []


def test_requests_from_raising_to_their_outcome(journal, world):
    house = world.northwind
    looks, blind = house.reviewer.actor, house.reviewer2.actor
    run = journal.run()
    minutes = lambda count: AT + timedelta(minutes=count)  # noqa: E731
    first, second, third, fourth = (journal.ask(run, group="finance") for _ in range(4))
    journal.open(first, looks, minutes(4))
    project()
    journal.vote(first, looks, "approve", minutes(10))
    journal.vote(second, blind, "reject", minutes(20))
    journal.over(third, "expired", minutes(60))
    project()
    with house.scope():
        found = query.approvals(Scope(house.tenant.id), WINDOW, NOW)
        by = {bar.label: bar.value for bar in query.breakdown(Scope(house.tenant.id), WINDOW, "unopened", "reviewer")}
    assert (found.raised, found.opened, found.decided, found.expired, found.unopened, found.pending) == (
        4,
        1,
        2,
        1,
        1,
        1,
    )
    assert found.verdicts == [("approve", 1), ("reject", 1)]
    assert found.to_open[0] == pytest.approx(240, rel=0.05)
    assert found.to_decide[0] == pytest.approx(360, rel=0.05)
    assert found.wait[0] == pytest.approx(1200, rel=0.05)  # the one that waits still, for a day, is the longest
    assert found.wait[1] == pytest.approx(86400, rel=0.05)
    assert by == {blind.name: 1}
    journal.over(fourth, "moot", minutes(90))
    project()
    with house.scope():
        found = query.approvals(Scope(house.tenant.id), WINDOW, NOW)
    assert (found.moot, found.pending) == (1, 0) and wrong() == []


def test_a_recount_finds_a_planted_error_and_repairs_it(journal, capsys):
    from django.core.management import call_command

    worked(journal)
    project()
    with system_scope("tests: an error"):
        StepRollup.objects.filter(tenant=journal.tenant, grain="d", cut="model", part="model").update(input_tokens=7)
        RunRollup.objects.filter(tenant=PLATFORM, grain="h", part="").delete()
    assert len(wrong()) == 3  # with and without its workflow, and the hour across all tenants
    with pytest.raises(SystemExit) as ended:
        call_command("verify_rollups", tenant="northwind")
    assert ended.value.code == 1
    assert "input_tokens is 7, the journal gives 100" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("verify_rollups", "--repair", "--json")
    call_command("verify_rollups")
    assert "0 differences" in capsys.readouterr().out
