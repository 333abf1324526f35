"""What every journal must do. Subclass it and say how one is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.durable import Fenced, Journal, Kind, Loop, Safety, Status, Step

AT = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)


def step(seq: int, n: int | None = None, **fields: Any) -> Step:
    """A read-only step, born done."""
    born: dict[str, Any] = {"request": {"ask": seq}, "status": Status.DONE, "settled": seq, "result": {"n": seq}}
    born |= {"ended_at": AT + timedelta(1), **fields}
    return Step("payer/model", seq if n is None else n, Kind.MODEL, seq, f"digest {seq}", started_at=AT, **born)


def intent(seq: int, **fields: Any) -> Step:
    """The intent of a tool call."""
    return Step("payer/tools", seq, Kind.TOOL, seq, "d", {"pay": seq}, AT, safety=Safety.NEITHER, name="pay", **fields)


class JournalContract:
    """Runs over any journal of an empty run. ``make`` returns what claims it: a journal under a new token each time.

    Claims are made outside the loop, everything else in it.
    """

    run: Callable[[Any], Any]

    def make(self) -> Callable[[], Journal]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _loop(self) -> Iterator[None]:
        with asyncio.Runner(loop_factory=Loop) as runner:
            self.run = runner.run
            yield

    def test_is_empty_at_first(self) -> None:
        assert self.run(self.make()().load()) == []

    def test_loads_what_was_appended_by_seq(self) -> None:
        journal = self.make()()
        steps = [step(1), intent(2), step(3)]
        for each in steps:
            self.run(journal.append(each))
        assert self.run(journal.load()) == steps

    def test_keeps_every_field(self) -> None:
        full = Step(
            scope="a/b",
            n=7,
            kind=Kind.TOOL,
            seq=1,
            digest="d" * 64,
            request={"arguments": [1, 2.5, None, True, "x"]},
            started_at=AT,
            status=Status.FAILED,
            settled=1,
            safety=Safety.IDEMPOTENT,
            name="pay",
            agent="payer",
            key="run/a/b#7",
            verdict={"effect": "allow", "reason": "small", "detail": {"rule": "r"}},
            result={"is_error": True},
            error={"type": "E", "message": "m", "stop": None},
            attempts=[{"started_at": "t", "ended_at": "u", "cause": "429"}],
            usage={"input_tokens": 3, "cached_tokens": 2, "output_tokens": 4, "reasoning_tokens": 1},
            cost="0.000125",
            priced_by="northwind 3",
            first_token_at=AT + timedelta(microseconds=420_000),
            ended_at=AT + timedelta(seconds=1, microseconds=5),
            inherited=False,
        )
        journal = self.make()()
        self.run(journal.append(full))
        assert self.run(journal.load()) == [full]

    def test_nothing_and_null_and_empty_are_kept_apart(self) -> None:
        journal = self.make()()
        values: list[Any] = [None, {}, [], "", 0, False]
        for place, value in enumerate(values, 1):
            self.run(journal.append(step(place, request=value, result=value)))
        loaded = self.run(journal.load())
        assert [each.result for each in loaded] == values
        assert [each.request for each in loaded] == values

    @pytest.mark.parametrize(
        "text",
        ["", "naïve – 合気道 🙂", "\u0000", "a\u0000b", "\ud800", "'; --", "\\u0000"],
        ids=["empty", "unicode", "nul", "nul inside", "half a pair", "sql", "escaped"],
    )
    def test_payload_is_kept_to_the_letter(self, text: str) -> None:
        journal = self.make()()
        written = step(1, request={"text": text, text or "k": 1}, result=[text])
        self.run(journal.append(written))
        assert self.run(journal.load()) == [written]

    def test_an_intent_is_settled_later(self) -> None:
        journal = self.make()()
        open_ = intent(1)
        self.run(journal.append(open_))
        self.run(journal.append(step(2)))
        ended = replace(open_, status=Status.DONE, settled=3, result={"ok": 1}, ended_at=AT, attempts=[{"cause": "x"}])
        ended = replace(ended, usage={"missing": "absent"}, priced_by="genai-prices 1", first_token_at=AT)
        self.run(journal.settle(ended))
        self.run(journal.append(step(4)))
        loaded = self.run(journal.load())
        assert [(each.seq, each.settled) for each in loaded] == [(1, 3), (2, 2), (4, 4)]
        assert loaded[0] == ended

    def test_doubt_and_renewal_leave_a_step_open(self) -> None:
        journal = self.make()()
        open_ = intent(1)
        self.run(journal.append(open_))
        doubtful = replace(open_, status=Status.IN_DOUBT)
        self.run(journal.settle(doubtful))
        assert self.run(journal.load()) == [doubtful]
        again = replace(open_, started_at=AT + timedelta(hours=1), attempts=[{"cause": "in_doubt"}])
        self.run(journal.settle(again))
        assert self.run(journal.load()) == [again]
        self.run(journal.append(step(2)))

    def test_what_is_written_does_not_change_with_its_object(self) -> None:
        journal = self.make()()
        written = intent(1)
        self.run(journal.append(written))
        written.name = "something else"
        written.request["pay"] = "all of it"
        assert self.run(journal.load()) == [intent(1)]

    def test_a_place_is_taken_once(self) -> None:
        journal = self.make()()
        self.run(journal.append(step(1)))
        with pytest.raises(Fenced):
            self.run(journal.append(step(1, n=9)))
        assert self.run(journal.load()) == [step(1)]

    def test_a_place_taken_by_a_settlement_is_taken(self) -> None:
        journal = self.make()()
        self.run(journal.append(intent(1)))
        self.run(journal.settle(replace(intent(1), status=Status.DONE, settled=2, ended_at=AT)))
        with pytest.raises(Fenced):
            self.run(journal.append(step(2)))

    def test_a_step_is_recorded_once(self) -> None:
        journal = self.make()()
        self.run(journal.append(step(1)))
        with pytest.raises(Exception):  # noqa: B017 - a fault of the engine, whatever it is called
            self.run(journal.append(step(2, n=1)))
        assert self.run(journal.load()) == [step(1)]

    def test_a_step_is_settled_once(self) -> None:
        journal = self.make()()
        self.run(journal.append(intent(1)))
        ended = replace(intent(1), status=Status.DONE, settled=2, result="first", ended_at=AT)
        self.run(journal.settle(ended))
        with pytest.raises(Fenced):
            self.run(journal.settle(replace(ended, settled=3, result="second")))
        assert self.run(journal.load()) == [ended]

    def test_a_stale_token_writes_nothing(self) -> None:
        claim = self.make()
        old = claim()
        self.run(old.append(intent(1)))
        new = claim()
        with pytest.raises(Fenced):
            self.run(old.append(step(2)))
        with pytest.raises(Fenced):
            self.run(old.settle(replace(intent(1), status=Status.DONE, settled=2, ended_at=AT)))
        assert self.run(new.load()) == [intent(1)]
        self.run(new.append(step(2)))
        assert [each.seq for each in self.run(new.load())] == [1, 2]

    def test_a_late_outcome_is_kept_beside_the_record(self) -> None:
        claim = self.make()
        old = claim()
        self.run(old.append(intent(1)))
        new = claim()
        late = replace(intent(1), status=Status.DONE, settled=2, result={"ok": True}, ended_at=AT)
        self.run(old.keep_late(late))
        assert self.run(new.load()) == [intent(1)]
        self.run(new.append(step(2)))

    def test_a_late_outcome_is_kept_once_however_the_step_ends(self) -> None:
        claim = self.make()
        old = claim()
        self.run(old.append(intent(1)))
        new = claim()
        late = replace(intent(1), status=Status.DONE, settled=2, result={"ok": True}, ended_at=AT)
        self.run(old.keep_late(late))
        self.run(old.keep_late(replace(late, result={"ok": False})))
        asked = replace(intent(1), status=Status.FAILED, settled=2, error={"type": "InDoubt"}, ended_at=AT)
        self.run(new.settle(asked))
        self.run(old.keep_late(late))  # a second look at the same evidence changes nothing
        assert self.run(new.load()) == [asked]

    def test_a_stale_token_neither_doubts_nor_begins_anew(self) -> None:
        """Though neither takes a place."""
        claim = self.make()
        old = claim()
        self.run(old.append(intent(1)))
        new = claim()
        for changed in (
            replace(intent(1), status=Status.IN_DOUBT),
            replace(intent(1), started_at=AT + timedelta(hours=1), attempts=[{"cause": "worker_lost"}]),
        ):
            with pytest.raises(Fenced):
                self.run(old.settle(changed))
        assert self.run(new.load()) == [intent(1)]

    def test_what_is_settled_is_not_opened_again(self) -> None:
        journal = self.make()()
        self.run(journal.append(intent(1)))
        ended = replace(intent(1), status=Status.DONE, settled=2, result="first", ended_at=AT)
        self.run(journal.settle(ended))
        for changed in (replace(intent(1), status=Status.IN_DOUBT), replace(intent(1), started_at=AT + timedelta(1))):
            with pytest.raises(Fenced):
                self.run(journal.settle(changed))
        assert self.run(journal.load()) == [ended]

    def test_a_settlement_changes_no_fact_of_its_intent(self) -> None:
        """Who the step is and what it asked stands; a journal that is told otherwise keeps what it has."""
        journal = self.make()()
        self.run(journal.append(intent(1)))
        ended = replace(intent(1), status=Status.DONE, settled=2, result="paid", ended_at=AT)
        self.run(journal.settle(ended))
        (kept,) = self.run(journal.load())
        before = intent(1)
        for name in ("scope", "n", "kind", "seq", "digest", "request", "safety", "name", "agent", "key"):
            assert getattr(kept, name) == getattr(before, name)

    def test_branches_settle_in_any_order_of_their_intents(self) -> None:
        journal = self.make()()
        for seq in (1, 2, 3):
            self.run(journal.append(intent(seq)))
        for place, seq in enumerate((2, 3, 1), 4):
            ended = replace(intent(seq), status=Status.DONE, settled=place, result=seq, ended_at=AT)
            self.run(journal.settle(ended))
        loaded = self.run(journal.load())
        assert [(each.seq, each.settled) for each in loaded] == [(1, 6), (2, 4), (3, 5)]
