"""The dashboards' figures over HTTP."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.problems import problem
from tests.telemetry.journal import Journal, project

SUMMARY, SERIES = "/api/v1/telemetry/summary", "/api/v1/telemetry/series"


@pytest.fixture
def journal(transactional_db, world):
    """Two runs of northwind's, an hour ago."""
    made, at = Journal(world.northwind.tenant), datetime.now(UTC) - timedelta(hours=1)
    for name in ("gpt-4o", "=cmd()"):
        run = made.run(at)
        made.step(run, at, name=name)
        made.end(run, at, "model_error" if name == "gpt-4o" else "completed", active_s=2.0)
    project()
    return made


def test_every_member_reads_the_figures_of_their_own_tenant(journal, world):
    for member in world.northwind.members:
        found = member.api.get(SUMMARY, workflow="refunds", range="24h").json()
        assert (found["totals"]["runs"], found["totals"]["abnormal"], found["totals"]["well_share"]) == (2, 1, 0.5)
        assert found["totals"]["cost"] == 0.002 and found["before"]["runs"] == 0 and found["window"]["grain"] == "hour"
    other = world.fabrikam.admin.api
    assert other.get(SUMMARY).json()["totals"]["runs"] == 0
    problem(other.get(SUMMARY, workflow="refunds"), 422, "workflow")


def test_a_series_as_json_and_as_csv(journal, world):
    api = world.northwind.reviewer.api
    found = api.get(SERIES, figure="cost", by="model", range="24h").json()
    assert (found["unit"], [line["key"] for line in found["items"]]) == ("dollars", ["=cmd()", "gpt-4o"])
    assert len(found["items"][0]["points"]) in (24, 25) and found["window"]["from"].endswith("Z")
    response = api.get(SERIES, figure="cost", by="model", range="24h", format="csv")
    assert response["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert {row["label"] for row in rows} == {"'=cmd()", "gpt-4o"}
    assert sum(float(row["value"]) for row in rows) == pytest.approx(0.002)
    (line,) = api.get(SERIES, figure="machine_p95", range="24h").json()["items"]
    assert [value for _, value in line["points"] if value] == [pytest.approx(2.0, rel=0.05)]


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("figure", {"figure": "nonsense"}),
        ("figure", {}),
        ("figure", {"figure": "x\x00"}),
        ("by", {"figure": "cost", "by": "stars"}),
        ("range", {"figure": "cost", "range": "soon"}),
        ("range", {"figure": "cost", "range": "7d", "from": "2026-11-01"}),
        ("range", {"figure": "cost", "range": "7" * 300}),
        ("from", {"figure": "cost", "to": "2026-11-01"}),
        ("from", {"figure": "cost", "from": "yesterday"}),
        ("from", {"figure": "cost", "from": "0001-01-01T00:00+23:59"}),
        ("from", {"figure": "cost", "from": "1999-01-01"}),
        ("to", {"figure": "cost", "from": "2026-11-01", "to": "9999-12-31"}),
        ("to", {"figure": "cost", "from": "2026-11-02", "to": "2026-10-01"}),
        ("revision", {"figure": "cost", "revision": "-1"}),
        ("revision", {"figure": "cost", "revision": "1"}),
        ("agent", {"figure": "cost", "agent": "a\x00b"}),
        ("model", {"figure": "cost", "agent": "a", "model": "b"}),
        ("stop_reason", {"figure": "runs", "stop_reason": "bored"}),
        ("stop_reason", {"figure": "cost", "stop_reason": "budget"}),
        ("format", {"figure": "cost", "format": "xml"}),
    ],
)
def test_nonsense_is_named(world, field, asked):
    problem(world.northwind.operator.api.get(SERIES, **asked), 422, field)


def test_how_long_figures_are_kept_is_an_admins_word(world):
    api = world.northwind.admin.api
    assert api.get("/api/v1/telemetry/retention").json() == {"hours": 100, "days": 800}
    assert api.put("/api/v1/telemetry/retention", {"hours": 60, "days": 90}).json() == {"hours": 60, "days": 90}
    assert world.northwind.reviewer.api.get("/api/v1/telemetry/retention").json() == {"hours": 60, "days": 90}
    assert world.fabrikam.admin.api.get("/api/v1/telemetry/retention").json() == {"hours": 100, "days": 800}
    problem(api.put("/api/v1/telemetry/retention", {"hours": 1, "days": 90}), 422, "hours")
    problem(api.put("/api/v1/telemetry/retention", {"hours": 60, "days": 50}), 422, "days")
    problem(api.put("/api/v1/telemetry/retention", {"hours": 60, "days": 10**12}), 422, "days")
