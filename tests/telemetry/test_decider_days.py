"""What is kept of each person's decisions of a day: the same as the decisions give, however they are cut into parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.models import ApprovalRequest
from console.runs.models import Run
from console.tenants.scopes import system_scope, tenant_scope
from telemetry import decider_days, deciders, people, reading, recount, retention
from telemetry.deciders import Decision, Looked
from telemetry.forgetting import forget
from telemetry.kept import held
from telemetry.models import DeciderDay
from tests.telemetry.journal import Journal, project, wrong
from tests.world import World

DAY = datetime(2026, 10, 5, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

decisions = st.lists(
    st.builds(
        Decision,
        st.uuids().map(str),
        st.floats(0, 10**6).map(lambda at: round(at, 3)),
        st.booleans(),
        st.none() | st.integers(0, 1000),
        st.none() | st.floats(0, 10**5),
    ),
    max_size=40,
).map(lambda many: sorted(many, key=lambda one: one.at))


@given(decisions, st.lists(st.integers(0, 40), max_size=4))
def test_parts_come_to_the_same_as_the_whole(many: list[Decision], cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(many)]
    parts = [deciders.of("Ann", many[a:b]) for a, b in zip(places, places[1:], strict=False)]
    together, whole = deciders.all_of(parts), deciders.of("Ann", many)
    assert sorted(together.drawn) == whole.drawn
    together.drawn = whole.drawn
    assert together.plain() == whole.plain() == Looked.read(whole.plain()).plain()


@given(decisions)
def test_rows_of_approvals_against_counting_them(many: list[Decision]) -> None:
    most = here = rapid = 0
    for n, one in enumerate(many):
        here = here + 1 if one.yes else 0
        most = max(most, here)
        rapid += n > 0 and one.yes and many[n - 1].yes and one.at - many[n - 1].at <= deciders.RAPID
    row = deciders.of("Ann", many).row
    assert (row.most, row.rapid, row.n) == (most, rapid, len(many))


def test_a_sample_is_fair_to_parts_of_any_size() -> None:
    def part(size: int) -> Looked:
        return deciders.of("Ann", [Decision(str(UUID(int=uuid4().int)), float(n), True, 10, 1.0) for n in range(size)])

    big, small = part(5000), part(20)
    found = deciders.all_of([big, small])
    sample = found.sample(400)
    assert len(small.drawn) == 20 and len(big.drawn) == deciders.DRAWN and found.below == big.below
    assert deciders.DRAWN <= len(sample) <= deciders.DRAWN + 20
    assert [one.at for one in sample] == sorted((one.at for one in sample), reverse=True)
    assert len(deciders.all_of([part(60)] * 10).sample(400)) == 400


@pytest.fixture
def journal(world: World) -> Journal:
    return Journal(world.northwind.tenant)


def people_of(world: World) -> tuple[SimpleNamespace, SimpleNamespace]:
    found = [
        SimpleNamespace(id=who.user.id, name=who.user.name)
        for who in (world.northwind.reviewer, world.northwind.reviewer2)
    ]
    return found[0], found[1]


def filled(journal: Journal, world: World) -> None:
    """Three days of two people's decisions."""
    ann, bob = people_of(world)
    run = journal.run(DAY - HOUR)
    for day in range(3):
        for n, (who, verdict) in enumerate([(ann, "approve"), (ann, "approve"), (bob, "reject"), (ann, "reject")]):
            at = DAY + timedelta(days=day) + HOUR + n * MINUTE
            request = journal.ask(run, at - HOUR, shown_words=100 * n)
            if n != 1:
                journal.open(request, who, at - MINUTE)
            journal.vote(request, who, verdict, at)


def seen(world: World, since: datetime, until: datetime) -> list[object]:
    with tenant_scope(world.northwind.tenant):
        found = people.figures(world.northwind.admin.actor, people.Window(since, until))
    return [found.team, found.readers, found.lengths, found.heat, found.points, found.measured]


WINDOWS = [
    (DAY, DAY + timedelta(days=3)),
    (DAY + HOUR + MINUTE, DAY + timedelta(days=2, hours=1, minutes=2)),
    (DAY + HOUR, DAY + HOUR + 2 * MINUTE),
    (DAY + timedelta(hours=20), DAY + timedelta(days=1)),
    (DAY - timedelta(days=30), DAY + timedelta(days=9)),
]


@pytest.mark.django_db(transaction=True)
def test_what_is_kept_gives_the_same_figures_as_the_decisions(journal: Journal, world: World) -> None:
    filled(journal, world)
    with system_scope("tests: nothing is made yet"):
        assert not DeciderDay.objects.exists()
        decider_days.mark([str(one.pk) for one in ApprovalRequest.objects.all()])
        assert DeciderDay.objects.filter(said__isnull=True).count() == 6
    raw = [seen(world, *window) for window in WINDOWS]
    assert raw[0][0].decisions == 12 and raw[0][0].unopened.hits == 3  # type: ignore[attr-defined]
    project()
    with system_scope("tests: all are made"):
        assert DeciderDay.objects.filter(said__isnull=False).count() == 6
    assert [seen(world, *window) for window in WINDOWS] == raw
    assert wrong() == []


@pytest.mark.django_db(transaction=True)
def test_what_comes_late_makes_its_day_anew(journal: Journal, world: World) -> None:
    filled(journal, world)
    project()
    ann, _ = people_of(world)
    late = journal.ask(journal.run(DAY), DAY)
    journal.vote(late, ann, "approve", DAY + HOUR + timedelta(seconds=30))
    project()
    assert seen(world, *WINDOWS[0])[0].decisions == 13 and wrong() == []  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_a_recount_finds_what_is_wrong_and_repairs_it(
    journal: Journal, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside a transaction that goes on, in whichever database, the first recount would have the second read anew, which
    # makes marked days right before they are compared.
    monkeypatch.setattr(reading, "SETTLED", reading.EVERYTHING)
    filled(journal, world)
    project()
    ann, bob = people_of(world)
    right = seen(world, *WINDOWS[0])
    with system_scope("tests: somebody was in the database"):
        said = deciders.of("Ann", [Decision(str(uuid4()), DAY.timestamp(), True, 5, 5.0)]).plain()
        DeciderDay.objects.filter(who=ann.id, day=DAY.date()).update(said=said)
        DeciderDay.objects.filter(who=bob.id, day=DAY.date()).delete()
    found = recount.verify()
    assert len(found.differences) == 2 and all(
        "telemetry_deciderday 2026-10-05" in str(one) for one in found.differences
    )
    assert recount.verify(repair=True).repaired == 2
    assert wrong() == [] and seen(world, *WINDOWS[0]) == right


@pytest.mark.django_db(transaction=True)
def test_days_go_with_the_runs_they_were_of(journal: Journal, world: World) -> None:
    filled(journal, world)
    project()
    with system_scope("tests: the run"):
        run = Run.objects.get()
    with held():
        forget([str(run.pk)])
        with system_scope("tests: it goes"):
            run.delete()
    project()
    with system_scope("tests: what is left"):
        assert not DeciderDay.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_days_are_kept_as_long_as_figures_by_the_day(journal: Journal, world: World) -> None:
    filled(journal, world)
    project()
    assert retention.prune(DAY + timedelta(days=retention.DAYS_KEPT + 1)) >= 2
    with system_scope("tests: what is left"):
        assert sorted({one.day.day for one in DeciderDay.objects.all()}) == [6, 7]


def test_nobody_sees_another_tenants_days(world: World) -> None:
    with system_scope("tests: a day"):
        decider_days.put(
            str(world.northwind.tenant.id),
            str(uuid4()),
            DAY.date(),
            deciders.of("Ann", [Decision(str(uuid4()), 1.0, True, 1, 1.0)]),
        )
    with tenant_scope(world.fabrikam.tenant):
        assert not DeciderDay.objects.exists()
        assert decider_days.between(world.northwind.tenant.id, DAY - HOUR, DAY + timedelta(days=2)) == {}
