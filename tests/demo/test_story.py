"""The story of the demo's history: what is in it, and that it is the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from console.demo import answering, story
from console.demo.answering import Ask
from console.demo.documents import WORKFLOWS
from console.demo.making import variant
from console.demo.seed import HOUSES

NOW = datetime(2026, 11, 21, 20, 40, tzinfo=UTC)
MADE = datetime(2026, 10, 7, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def told() -> story.Story:
    return story.tell(6, NOW)


def test_the_same_seed_tells_the_same(told: story.Story) -> None:
    assert story.tell(6, NOW) == told != story.tell(7, NOW)


@pytest.mark.parametrize("now", [NOW + timedelta(days=days, hours=days) for days in range(7)])
def test_each_tenant_has_something_in_each_week_and_nothing_is_to_come(now: datetime) -> None:
    told = story.tell(6, now)
    assert 250 <= len(told.cases) <= 600
    assert max(case.at for case in told.cases) < now - timedelta(minutes=20)
    assert min(case.at for case in told.cases) > now - timedelta(days=62)
    for tenant in story.VOLUME:
        weeks = Counter((now - case.at).days // 7 for case in told.cases if case.tenant == tenant)
        assert all(weeks[week] >= 2 for week in range(8)), (tenant, weeks)


def test_every_run_is_known_by_a_reference_of_its_own(told: story.Story) -> None:
    assert len({case.reference for case in told.cases}) == len(told.cases)
    assert all(case.reference in case.text for case in told.cases)


def test_runs_take_the_revision_of_their_time(told: story.Story) -> None:
    for era in told.eras:
        of = [
            case
            for case in told.cases
            if (case.tenant, case.workflow, case.revision) == (era.tenant, era.workflow, era.revision)
        ]
        assert of, era
        assert all(era.since <= case.at < (era.until or NOW) for case in of)
    # Those of one workflow that share a revision are made one after the other.
    seen: dict[tuple[str, str], list[str]] = {}
    for case in told.cases:
        taken = seen.setdefault((case.tenant, case.workflow), [])
        if not taken or taken[-1] != case.revision:
            taken.append(case.revision)
    assert all(len(taken) == len(set(taken)) for taken in seen.values())


def test_all_that_may_befall_a_run_does(told: story.Story) -> None:
    assert {case.fault for case in told.cases} >= {"", "busy", "down", "refused"}
    assert {case.people for case in told.cases} >= {
        "silent",
        "late",
        "escalate",
        "stubborn",
        "cancel",
        "terminate",
        "reject",
    }
    assert {case.again for case in told.cases} >= {"retry", "fork"}


def test_houses_of_the_history_have_names_of_their_own() -> None:
    people = [person.username for house in story.ALL_HOUSES for person in house.people]
    assert len(people) == len(set(people)) and len({house.slug for house in story.ALL_HOUSES}) == 4
    assert set(story.VOLUME) == {house.slug for house in story.ALL_HOUSES}
    assert all(len(story.reviewers(house)) == 2 for house in (*HOUSES, *story.OWN_HOUSES))


def test_revisions_of_the_story_leave_the_demo_s_own_alone() -> None:
    bodies = {workflow.slug: workflow.body for workflow in WORKFLOWS}
    before = repr(bodies)
    for slug, revision in (("refund-desk", "hasty"), ("refund-desk", "prepared"), ("support-triage", "thorough"),
                           ("support-triage", "house"), ("change-advisory", "frugal")):  # fmt: skip
        assert variant(bodies[slug], revision) != bodies[slug]
    assert variant(bodies["refund-desk"], "") == bodies["refund-desk"] and repr(bodies) == before


class TestAnswers:
    def answers(self, people: str = "", tenant: str = "northwind", **ask: object) -> list[list[answering.Move]]:
        case = story.Case(tenant, "refund-desk", MADE, "A-20001", "Refund", people=people)
        chance = random.Random(1)
        given = Ask(**{"kind": "tool", "made": MADE, **ask})  # type: ignore[arg-type]
        return [answering.answer(case, given, chance) for _ in range(200)]

    def test_somebody_decides_in_the_end_and_time_only_goes_on(self) -> None:
        for kind in ("tool", "final", "question"):
            for moves in self.answers(kind=kind):
                assert moves[-1].what in ("approve", "edit", "reject", "respond") and all(
                    move.after > 0 for move in moves
                )

    def test_two_people_decide_what_takes_two(self) -> None:
        for moves in self.answers(approvers=2):
            said = [move for move in moves if move.what in ("approve", "edit", "reject")]
            assert len({move.who for move in said}) == 2 or said[-1].what in ("reject", "edit")

    def test_the_second_reviewer_of_northwind_decides_most_without_opening(self) -> None:
        mine = [moves for moves in self.answers() if moves[-1].who == 1]
        unopened = sum(not any(move.what == "opened" for move in moves) for moves in mine)
        assert 0.5 < unopened / len(mine) < 0.9
        careful = [moves for moves in self.answers() if moves[-1].who == 0]
        assert sum(not any(move.what == "opened" for move in moves) for moves in careful) / len(careful) < 0.15

    def test_silence_leaves_it_to_the_agenda(self) -> None:
        agenda = (
            ("remind", MADE + timedelta(hours=6)),
            ("escalate", MADE + timedelta(hours=7)),
            ("expire", MADE + timedelta(days=1)),
        )
        for moves in self.answers("silent", agenda=agenda):
            assert [move.what for move in moves] == ["time"] * 3 and sum(move.after for move in moves) == 86400
        for moves in self.answers("late", agenda=agenda):
            assert [move.what for move in moves[:2]] == ["time", "time"] and moves[-1].who == 0
        assert all(moves[-1].what != "time" for moves in self.answers("silent"))

    def test_nobody_looks_at_night(self) -> None:
        night = datetime(2026, 10, 7, 2, 0, tzinfo=UTC)
        waits = [moves[0].after for moves in self.answers(made=night)]
        assert sum(wait > 6 * 3600 for wait in waits) > len(waits) / 2
