"""The figures of the people page, against decisions that were made by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from approvals.models import ApprovalRequest, Sighting, Vote
from approvals.shown import words_of
from console.runs.models import Run
from console.tenants.scopes import system_scope
from telemetry import decider_days, people, people_charts, people_query, people_stats
from telemetry.models import DeciderDay
from telemetry.people import Point, Window
from tests.approvals.desk import Desk, refund
from tests.approvals.planted import plant, probe_desk
from tests.world import Member, World

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
MONTH = Window(NOW - timedelta(days=30), NOW)


@pytest.fixture
def desk(world: World) -> Desk:
    return probe_desk(world.northwind)


class Book:
    """Decisions made by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.run, [self.first] = desk.waiting(refund())
        self.n = 0
        with desk.house.scope():
            ApprovalRequest.objects.update(status="moot")

    def add(
        self,
        who: Member,
        verdict: str = "approve",
        *,
        ago: timedelta = timedelta(hours=1),
        took: float | None = 60.0,
        words: int | None = 100,
        **more: Any,
    ) -> ApprovalRequest:
        """A request that ``who`` decided ``ago``, ``took`` seconds after they opened it."""
        self.n += 1
        at = NOW - ago
        with self.desk.house.scope():
            row = ApprovalRequest.objects.get(pk=self.first.pk)
            row.pk, row.n, row._state.adding = None, 100 + self.n, True
            row.id = ApprovalRequest._meta.pk.get_default()
            row.status, row.verdict, row.decided_at = "decided", verdict, at
            row.decided_by_id, row.decided_by_name, row.shown_words = who.user.id, who.user.name, words
            for name, value in more.items():
                setattr(row, name, value)
            row.save(force_insert=True)
            if took is not None:
                Sighting.objects.create(
                    tenant=row.tenant, request=row, viewer_id=who.user.id, viewer_name=who.user.name,
                    opened_at=at - timedelta(seconds=took),
                )  # fmt: skip
        return row

    def vote(self, row: ApprovalRequest, who: Member, verdict: str, voided: bool = False) -> None:
        with self.desk.house.scope():
            Vote.objects.create(tenant=row.tenant, request=row, voter_id=who.user.id, voter_name=who.user.name,
                                verdict=verdict, sealed=b"", voided=voided)  # fmt: skip

    def keep(self) -> None:
        """What the projector does."""
        with system_scope("tests: days"):
            decider_days.mark([str(one.pk) for one in ApprovalRequest.objects.filter(tenant=self.desk.house.tenant)])
            assert not decider_days.build(NOW + timedelta(days=9))

    def figures(self, who: Member | None = None, window: Window = MONTH) -> people.Figures:
        self.keep()
        with self.desk.house.scope():
            return people.figures((who or self.desk.house.admin).actor, window)


@pytest.fixture
def book(desk: Desk) -> Book:
    return Book(desk)


def test_nothing_at_all(desk: Desk) -> None:
    with desk.house.scope():
        found = people.figures(desk.house.admin.actor, MONTH)
    assert found.team.decisions == 0 and found.team.unopened.share is None and found.readers == []
    assert "Nobody decided anything" in desk.house.reviewer.client.get("/people/looking/").content.decode()


def test_time_and_length(book: Book, desk: Desk) -> None:
    ann, bob = desk.house.reviewer, desk.house.reviewer2
    book.add(ann, took=60, words=238)  # exactly as long as reading takes
    book.add(ann, took=59, words=238, ago=timedelta(hours=2))
    book.add(ann, took=5, words=None, ago=timedelta(hours=3))  # from before lengths were kept
    book.add(bob, took=None, words=100, ago=timedelta(hours=4))
    book.add(bob, took=-5, words=100, ago=timedelta(hours=5))  # opened after it was decided
    found = book.figures()
    assert found.team.decisions == 5 and (found.team.unopened.hits, found.team.unopened.n) == (2, 5)
    assert (found.team.faster.hits, found.team.faster.n) == (1, 2)
    assert found.team.median_s == pytest.approx(59, rel=0.022) and found.measured == 2
    assert {point.seconds: point.faster for point in found.points} == {60: False, 59: True}
    [length] = found.lengths
    assert (length.least, length.most, length.faster.n, length.reading_s) == (201, 400, 2, 60)
    by_name = {one.name: one for one in found.readers}
    assert by_name[ann.user.name].decisions == 3 and by_name[bob.user.name].unopened.hits == 2


def test_what_is_left_out(book: Book, desk: Desk) -> None:
    ann = desk.house.reviewer
    book.add(ann)
    book.add(ann, ago=timedelta(days=31))
    book.add(ann, ago=timedelta(0))  # the end is not in it
    book.add(ann, probe=True)
    book.add(ann, status="expired")
    book.add(ann, status="moot")
    found = book.figures()
    assert found.team.decisions == 1 and found.expired == 1


def test_rows_of_approvals(book: Book, desk: Desk) -> None:
    ann, bob = desk.house.reviewer, desk.house.reviewer2
    said = ["approve"] * 3 + ["reject"] + ["approve"] * 4 + ["edit", "approve"]
    for n, verdict in enumerate(said):
        book.add(ann, verdict, ago=timedelta(hours=10) - timedelta(seconds=4 * n))
    for n in range(2):  # a colleague's between them break no row
        book.add(bob, "reject", ago=timedelta(hours=10) - timedelta(seconds=4 * n + 1))
    found = book.figures()
    one = {each.name: each for each in found.readers}[ann.user.name]
    assert (one.decisions, one.approvals, one.streak, one.rapid) == (10, 8, 4, 2 + 3)
    assert (found.team.streak, found.team.rapid) == (4, 5)
    assert {each.name: each.streak for each in found.readers}[bob.user.name] == 0


def test_the_heat_is_in_the_tenants_zone(book: Book, desk: Desk) -> None:
    hours = {"zone": "Asia/Tokyo", "days": {"mon": ["09:00", "17:00"]}}
    assert desk.house.admin.api.put("/api/v1/calendar", hours).status_code == 200
    book.add(desk.house.reviewer, ago=timedelta(hours=1))  # Wednesday 11:00 UTC is 20:00 there
    book.add(desk.house.reviewer, ago=timedelta(hours=20), took=None)  # Tuesday 16:00 is Wednesday 01:00
    found = book.figures()
    assert found.zone == "Asia/Tokyo" and found.heat == {(3, 20): (1, 0), (3, 1): (1, 1)}


def test_agreement(book: Book, desk: Desk) -> None:
    ann, bob = desk.house.reviewer, desk.house.reviewer2
    for n in range(40):
        row = book.add(bob, "approve" if n < 30 else "reject", approvers=2)
        book.vote(row, ann, "approve")
        book.vote(row, bob, "approve" if n < 30 else "reject")
    edited = book.add(bob, "edit", approvers=2)
    book.vote(edited, ann, "approve", voided=True)
    book.vote(edited, bob, "edit")
    alone = book.add(ann, approvers=2)
    book.vote(alone, ann, "approve")
    found = book.figures()
    assert (found.shared.n, found.shared.agreed) == (41, 30)
    [pair] = found.pairs
    assert pair.said.n == 41 and pair.said.kappa is not None and set(pair.names) == {ann.user.name, bob.user.name}
    assert book.figures(bob).pairs == book.figures(ann).pairs and len(book.figures(ann).pairs) == 1


def test_what_came_to_nothing(book: Book, desk: Desk) -> None:
    with desk.house.scope():
        Run.objects.filter(pk=book.run.pk).update(
            status="failed", stop_reason="rejected", ended_at=NOW - timedelta(hours=1), cost="0.25", model_s=3, tool_s=1,
            waiting_s=60, unpriced_steps=1, waiting_since=None,
        )  # fmt: skip
    [one] = book.figures().wasted
    assert (one.reason, one.runs, str(one.cost), one.unpriced, one.machine_s) == ("rejected", 1, "0.250000", 1, 4)
    assert book.figures(window=Window(NOW - timedelta(minutes=5), NOW)).wasted == []


def test_probes(desk: Desk) -> None:
    for n, verdict in enumerate(["approve", "reject", "terminate"]):
        _, row = plant(desk, name=f"probe {n}")
        desk.decide(desk.house.reviewer, row, verdict, reason="So.")
    now = timezone.now()
    with desk.house.scope():
        found = people.figures(desk.house.reviewer.actor, Window(now - timedelta(hours=1), now + timedelta(hours=1)))
    kinds = {(one.by, one.name): one.caught for one in found.probes}
    assert set(kinds) == {("all", ""), ("team", ""), ("workflow", "refund-desk"), ("rule", "")}
    assert all((one.hits, one.n) == (2, 3) and one.low < 2 / 3 < one.high for one in kinds.values())
    assert found.team.decisions == 0 and found.wasted == []
    page = desk.house.reviewer.client.get("/people/looking/").content.decode()
    assert "67 %" in page and "between" in page


def test_names_are_for_admins_and_operators_and_for_oneself(book: Book, desk: Desk) -> None:
    ann, bob = desk.house.reviewer, desk.house.reviewer2
    book.add(ann, decided_by_name="Ann Olsen")
    book.add(bob)
    assert {each.name for each in book.figures().readers} == {"Ann Olsen", bob.user.name}
    assert [each.name for each in book.figures(bob).readers] == [bob.user.name]
    assert len(book.figures(desk.house.operator).readers) == 2 and book.figures(bob).team.decisions == 2
    with desk.house.scope():
        DeciderDay.objects.all().delete()  # decisions never move but in a test
        ApprovalRequest.objects.filter(status="decided").update(decided_at=timezone.now() - timedelta(hours=1))
    for who, seen in ((desk.house.admin, True), (ann, True), (bob, False), (desk.house.operator, True)):
        assert ("Ann Olsen" in who.client.get("/people/looking/").content.decode()) == seen
        given = who.api.get("/api/v1/telemetry/people").json()
        assert ("Ann Olsen" in str(given)) == seen and given["team"]["decisions"] == 2
        listed = who.client.get("/people/looking/decisions/").content.decode()
        everybody = who.role in ("admin", "operator")
        assert ("Ann Olsen" in listed) == everybody
        assert ("by you" in listed) == (who.role == "reviewer")


def test_another_tenants_decisions_are_theirs(book: Book, desk: Desk, world: World) -> None:
    book.add(desk.house.reviewer)
    with world.fabrikam.scope():
        assert people.figures(world.fabrikam.admin.actor, MONTH).team.decisions == 0


def test_the_list_behind_a_cell(book: Book, desk: Desk) -> None:
    ann = desk.house.reviewer
    row = book.add(ann, took=2, words=500)
    book.add(ann, took=None, ago=timedelta(hours=26))
    with desk.house.scope():
        read = lambda **what: people_query.decisions(ann.actor, MONTH, people_query.Narrow(**what))[0]  # noqa: E731
        assert len(read()) == 2
        assert [one.request for one in read(day=3, hour=11)] == [row.pk]
        assert [one.request for one in read(only="faster")] == [row.pk]
        assert [one.took for one in read(only="unopened")] == [None]
        assert read(day=1) == []


@pytest.mark.parametrize("query", ["days=0", "days=31", "days=x", "days=%00", "days=" + "9" * 400])
def test_a_nonsensical_window_is_said(desk: Desk, query: str) -> None:
    for path in ("/people/looking/", "/people/looking/decisions/"):
        answer = desk.house.reviewer.client.get(f"{path}?{query}")
        assert answer.status_code == 422 and "Days must be one of 7, 30, 90" in answer.content.decode()


@pytest.mark.parametrize("query", ["day=8", "day=x", "hour=24", "hour=-1", "hour=%00", "only=nothing", "day=٣"])
def test_a_nonsensical_cell_is_said(desk: Desk, query: str) -> None:
    answer = desk.house.reviewer.client.get(f"/people/looking/decisions/?{query}")
    assert answer.status_code == 422 and "must be" in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "0"}, "to"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-11-01"}, "from"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
    ],
)
def test_nonsense_over_http(desk: Desk, query: dict[str, str], field: str) -> None:
    answer = desk.house.reviewer.api.get("/api/v1/telemetry/people", **query)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field


def test_lengths_are_kept_when_a_request_is_made(desk: Desk) -> None:
    _, [row] = desk.waiting(refund(title="Refund it now", description="Pays money back."))
    assert row.shown_words == len("Refund it now".split()) + len(row.reason.split()) + 3 + 4


def test_words() -> None:
    assert (
        words_of({"arguments": {"a": ["one two", {"b": None}], "c": 1.5}, "schema": {"x": "not counted"}}) == 3 + 2 + 1
    )
    assert words_of({"question": "How are you?"}, "A title") == 5
    assert words_of("no mapping") == 0 and words_of({"arguments": {}}) == 0
    assert words_of({"arguments": {"key": "x" * 120}}) == 1 + 10
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    assert words_of({"arguments": deep}) == 1


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson(hits: int, misses: int) -> None:
    one = people_stats.share(hits, hits + misses)
    assert 0 <= one.low <= one.high <= 1
    if one.share is not None:
        assert one.low <= one.share + 1e-12 and one.share <= one.high + 1e-12


def test_wilson_as_in_the_books() -> None:
    one = people_stats.share(8, 10)
    assert (round(one.low, 3), round(one.high, 3)) == (0.490, 0.943)


def test_kappa_as_in_the_books() -> None:
    assert people_stats.agreement(20, 5, 10, 15).kappa == pytest.approx(0.4)
    assert people_stats.agreement(5, 5, 5, 5).kappa is None  # too few
    assert people_stats.agreement(40, 0, 0, 0).kappa is None  # nothing but yes


@given(
    st.lists(st.builds(Point, st.just("x"), st.just("t"), st.integers(0, 10**9), st.floats(0, 1e9), st.just("approve")))
)
def test_every_dot_is_inside_the_plot(points: list[Point]) -> None:
    plot = people_charts.scatter(points)
    for dot in plot.dots:
        assert people_charts.LEFT <= dot.x <= people_charts.WIDTH and 0 <= dot.y <= people_charts.HEIGHT
        assert bool(dot.path) == dot.point.faster


def test_the_page_has_no_script_and_no_style_of_its_own(book: Book, desk: Desk) -> None:
    with desk.house.scope():
        row = book.add(desk.house.reviewer, took=1, words=400, title="<b>x</b>" * 30)
        ApprovalRequest.objects.filter(pk=row.pk).update(decided_at=timezone.now() - timedelta(hours=1))
        Sighting.objects.filter(request=row).update(opened_at=timezone.now() - timedelta(hours=2))
    page = desk.house.admin.client.get("/people/looking/?days=7").content.decode()
    main = page.partition('id="main"')[2]
    assert "<script" not in main and " style=" not in main and "<b>x" not in main
    assert re.search(r'href="/queue/[0-9a-f-]{36}/"', main)
