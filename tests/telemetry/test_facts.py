"""What rows contribute, whatever is in them."""

import json
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import given as given_
from hypothesis import strategies as st

from telemetry import cells, facts
from telemetry.facts import Clock, Part, RequestRow, RunRow, StepRow
from telemetry.models import ROLLUPS

NOW = 1_795_000_000.0
TIMES = st.floats(min_value=-1e9, max_value=4e10)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats() | st.none() | st.text(max_size=5) | st.booleans()
USAGE = st.none() | st.dictionaries(
    st.sampled_from(["input_tokens", "prompt_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "x"]), NUMBERS
) | NUMBERS  # fmt: skip
MEASURES = {name: set(model.MEASURES) for name, model in zip(("run", "step", "approval"), ROLLUPS, strict=True)}
DIMS = (("all", ""), ("revision", "1"))


def given(*strategies):
    """Hypothesis's, without its impatience with a busy machine."""
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return lambda test: patient(given_(*strategies)(test))


def step(**fields):
    usual = StepRow(
        "r",
        1,
        "model",
        "done",
        "gpt-4o",
        "clerk",
        NOW - 2,
        NOW,
        None,
        '{"input_tokens": 5}',
        Decimal("0.5"),
        1,
        "",
        "",
        "",
    )
    return usual._replace(**fields)


def run(**fields):
    usual = RunRow(
        "r", "t", "w", 1, "", False, False, False, "completed", "completed", NOW - 100, NOW - 99, NOW, 5, 6, Decimal(1),
        Decimal(0), 0, 1.0, 2.0, 3.0, 4.0, 0.0, 5.0,
    )  # fmt: skip
    return usual._replace(**fields)


def sane(part, table):
    assert set(part.measures) <= MEASURES[table]
    assert all(isinstance(value, int) and 0 < value <= facts.MOST for value in part.measures.values())
    assert part.at % 3600 == 0
    assert Part.read(json.loads(json.dumps(part.plain()))) == part


@given(USAGE, st.none() | st.decimals(allow_nan=False), TIMES, st.none() | TIMES, st.none() | TIMES, st.integers(0, 5))
def test_any_step_contributes_what_can_be(usage, cost, began, ended, first, tries):
    row = step(
        usage=json.dumps(usage) if usage is not None else None, cost=cost, began=began, ended=ended, first_token=first,
        tries=tries,
    )  # fmt: skip
    part = facts.of_step(row, NOW - 1000, DIMS, Clock(NOW))
    sane(part, "step")
    assert NOW - 1000 - 3600 < part.at <= NOW + facts.SKEW
    assert part.measures.get("cost_micros", 0) == 0 or cost is not None
    assert (part.measures.get("unpriced", 0) == 1) == (cost is None and bool(usage))


@given(
    TIMES,
    st.none() | TIMES,
    st.none() | TIMES,
    st.integers(-(10**18), 10**18),
    st.floats(),
    st.decimals(allow_nan=False),
)
def test_any_run_contributes_what_can_be(made, started, ended, tokens, seconds, cost):
    row = run(
        made=made, started=started, ended=ended, input_tokens=tokens, queue_s=seconds, active_s=seconds, cost=cost,
        broken_off=cost,
    )  # fmt: skip
    clock = Clock(NOW)
    parts = facts.of_run(row, clock)
    assert len(parts) == 1 + (ended is not None)
    for part in parts:
        sane(part, "run")
        assert part.at <= NOW + facts.SKEW
    assert facts.of_run(row, Clock(NOW + 10**9, clock.clamped)) == parts  # whenever it is read again


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["approve", "reject"]), TIMES, st.booleans()), max_size=4),
       st.lists(st.tuples(st.sampled_from("ab"), TIMES), max_size=4),
       st.sampled_from(["pending", "decided", "expired", "moot"]), TIMES, st.none() | TIMES)  # fmt: skip
def test_any_request_contributes_what_can_be(votes, opened, status, made, decided):
    row = RequestRow(
        "q", "t", "w", False, status, "clerk", "pay", "", "", "approve", False, made, None, decided, votes, opened
    )
    parts = facts.of_request(row, Clock(NOW))
    for part in parts:
        sane(part, "approval")
    mine = [part.measures for part in parts if ("all", "") in part.dims]
    assert sum(part.get("raised", 0) for part in mine) == 1
    assert sum(part.get("opened", 0) for part in mine) == bool(opened)
    assert sum(part.get(name, 0) for part in mine for name in ("decided", "expired", "moot")) <= 1


def test_what_is_taken_back_leaves_nothing():
    sums = cells.Sums()
    parts = facts.of_run(run(), Clock(NOW))
    cells.of_run(sums, "t", "w", [], parts)
    assert sums.rows()
    cells.of_run(sums, "t", "w", parts, [])
    assert sums.rows() == {}


def test_a_price_that_nobody_knows_is_not_nothing():
    known, unknown, free = step(), step(cost=None), step(cost=Decimal(0))
    told = [facts.of_step(row, NOW - 100, DIMS, Clock(NOW)).measures for row in (known, unknown, free)]
    assert [(each.get("cost_micros", 0), each.get("unpriced", 0)) for each in told] == [(500000, 0), (0, 1), (0, 0)]
