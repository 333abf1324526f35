"""``bench rollup`` in small: what it measures is right, and it leaves nothing behind."""

import pytest

from console.bench import leavings, rollup
from console.bench.tenant import bench_actor
from console.runs.models import Run
from console.tenants.scopes import system_scope
from telemetry import reading
from telemetry.models import EVERY_PART, StepRollup
from tests.telemetry.journal import project, wrong


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_its_runs_are_counted_and_taken_out_again(monkeypatch):
    monkeypatch.setattr(reading, "SETTLED", reading.EVERYTHING)
    actor = bench_actor()
    template = rollup._template(actor)
    made = rollup._fill(actor, template, 3)
    assert rollup._raw(made) > 0
    project()
    assert all(map(rollup._counted, made)) and wrong() == []
    with system_scope("tests: sums"):
        rows = StepRollup.objects.filter(
            tenant=actor.tenant, grain="d", cut="all", workflow_id=template.workflow_id, part=EVERY_PART
        )
        assert sum(row.calls for row in rows) == 3 * rollup.STEPS
    leavings.clear(actor.tenant)
    with system_scope("tests: what is left"):
        assert not Run.objects.exists()
        assert not StepRollup.objects.filter(tenant=actor.tenant).exists()
    project()
    assert wrong() == []
