"""The pages of stop reasons: counts, runs, and retrying them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from console.runs import actions as runs
from console.runs import reasons
from console.runs.models import Run
from console.workflows.models import Revision
from console.workflows.reasons import ABOUT, StopReason
from tests.approvals.desk import Desk
from tests.workflows.waiving import waive
from tests.world import World

COUNTS, PAGE, OF_NEVER = 14, 18, 20  # queries; of a page with runs of a revision with a stage in NEVER
NEVER = {"mode": "TERMINATE", "stages": {"payer": "NEVER"}}


def ended(desk: Desk, reason: str, times: int = 1, **facts: Any) -> list[Run]:
    made = []
    with desk.house.scope():
        for _ in range(times):
            run = desk.start("Refund order A-17")
            assert runs.finish(run.pk, None, ABOUT[StopReason(reason)].status, reason, "because of that")
            if facts:
                Run.objects.filter(pk=run.pk).update(**facts)
            made.append(desk.now(run))
    return made


def unwatched(desk: Desk, reason: str, times: int = 1) -> list[Run]:
    """Runs that nobody watched, of a revision that the current one is too, and that would be watched now."""
    limits = {"max_turns": 9, "max_cost": "2.00"}
    body = {**desk.body, "oversight": NEVER, "output_contract": {"type": "object"}, "limits": limits}
    with desk.house.scope():
        Revision.objects.filter(pk=desk.workflow.current_id).update(body=body)
    return ended(desk, reason, times, oversight=NEVER)


def test_every_reason_is_counted_with_its_sentence(desk: Desk) -> None:
    ended(desk, "model_error", 2)
    ended(desk, "rejected")
    ended(desk, "tool_error", created_at=timezone.now() - timedelta(days=31))
    page = desk.house.reviewer.client.get("/runs/reasons/").content.decode()
    for reason in StopReason:
        assert f'href="/runs/reasons/{reason}/"' in page and reason.about.sentence.replace("'", "&#x27;") in page
    with desk.house.scope():
        counts = {line.reason: line.count for line in reasons.counted(desk.house.reviewer.actor)}
    assert counts[StopReason.MODEL_ERROR] == 2 and counts[StopReason.REJECTED] == 1
    assert counts[StopReason.TOOL_ERROR] == 0  # too long ago


def test_a_reason_lists_its_runs_and_no_others(desk: Desk, world: World) -> None:
    (run,) = ended(desk, "model_error")
    (other,) = ended(desk, "rejected")
    page = desk.house.operator.client.get("/runs/reasons/model_error/").content.decode()
    assert f"/runs/{run.pk}/" in page and f"/runs/{other.pk}/" not in page
    assert ABOUT[StopReason.MODEL_ERROR].remedy in page and "because of that" in page
    assert f"/runs/{run.pk}/retry/" in page and "Retry the one" in page
    page = desk.house.reviewer.client.get("/runs/reasons/model_error/").content.decode()
    assert "/retry/" not in page
    page = world.fabrikam.operator.client.get("/runs/reasons/model_error/").content.decode()
    assert str(run.pk) not in page and "No run ended so" in page
    page = desk.house.operator.client.get("/runs/reasons/rejected/").content.decode()
    assert "/retry/" not in page
    assert desk.house.operator.client.get("/runs/reasons/bad-luck/").status_code == 404
    assert desk.house.operator.client.get("/runs/reasons/model_error/?after=x").status_code == 302
    page = desk.house.operator.client.get(f"/runs/{run.pk}/").content.decode()
    assert 'href="/runs/reasons/model_error/"' in page


def test_all_are_retried_once_and_each_is_told_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ended(desk, "model_error", 3)
    refuse = made[1].pk
    retry = runs.retry

    def picky(actor: Any, run: Run) -> Run:
        if run.pk == refuse:
            raise runs.Refused("Not this one.")
        return retry(actor, run)

    monkeypatch.setattr("console.runs.actions.retry", picky)
    address = "/runs/reasons/model_error/retry/"
    answer = desk.house.operator.client.post(address)
    page = answer.content.decode()
    assert answer.status_code == 200 and "2 of 3 were retried" in page and "Not this one." in page
    with desk.house.scope():
        assert set(Run.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {made[0].pk, made[2].pk}
    page = desk.house.operator.client.get("/runs/reasons/model_error/").content.decode()
    assert page.count("retried as") == 2 and "Retry the one" in page
    assert "0 of 1 was retried" in desk.house.operator.client.post(address).content.decode()  # sent twice


def test_what_cannot_be_retried_stands_before_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    old, late = unwatched(desk, "model_error", 3), ended(desk, "model_error", 2)
    monkeypatch.setattr(reasons, "AT_ONCE", 1)
    client = desk.house.operator.client
    page = client.get("/runs/reasons/model_error/").content.decode()
    assert "Retry the oldest 1" in page and "2 wait" in page
    assert "3 of the last 30 days cannot be retried as things stand." in page and "Nobody reviewed payer" in page
    for run in late:
        page = client.post("/runs/reasons/model_error/retry/").content.decode()
        assert "1 of 1 was retried" in page and f"/runs/{run.pk}/" in page
        assert not [one for one in old if str(one.pk) in page]
    page = client.post("/runs/reasons/model_error/retry/").content.decode()
    assert "Nothing was left to retry" in page and "3 of the last 30 days cannot" in page
    page = desk.house.reviewer.client.get("/runs/reasons/model_error/").content.decode()
    assert "as things stand" not in page  # who retries nothing is not told


def test_a_limit_of_the_organisation_leaves_the_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(desk, "model_error", 2)

    def full(actor: Any, run: Run) -> Run:
        raise runs.AtLimit("Too many runs are open.", 1)

    monkeypatch.setattr("console.runs.actions.retry", full)
    page = desk.house.operator.client.post("/runs/reasons/model_error/retry/").content.decode()
    assert page.count("Too many runs are open.") == 2 and "0 of 2" in page


@pytest.mark.parametrize("reason", ["rejected", "completed", "divergence", "contract_violation", "max_turns"])
def test_what_may_not_be_retried_is_refused(desk: Desk, reason: str) -> None:
    ended(desk, reason)
    answer = desk.house.operator.client.post(f"/runs/reasons/{reason}/retry/")
    assert answer.status_code == 409 and "Nothing was retried" in answer.content.decode()


def test_who_may_retry(desk: Desk, world: World) -> None:
    (run,) = ended(desk, "model_error")
    address = "/runs/reasons/model_error/retry/"
    assert desk.house.reviewer.client.post(address).status_code == 403
    assert desk.house.operator.client.get(address).status_code == 405
    assert "Nothing was left to retry" in world.fabrikam.operator.client.post(address).content.decode()
    with desk.house.scope():
        assert not Run.objects.filter(retry_of=run).exists()


def test_a_fixed_price(desk: Desk, django_assert_max_num_queries: Any) -> None:
    ended(desk, "model_error", 8)
    client = desk.house.operator.client
    client.get("/runs/reasons/")
    with django_assert_max_num_queries(COUNTS):
        client.get("/runs/reasons/")
    with django_assert_max_num_queries(PAGE):
        client.get("/runs/reasons/model_error/")


def test_a_fixed_price_whatever_is_refused(desk: Desk, django_assert_num_queries: Any) -> None:
    unwatched(desk, "model_error", 3)
    ended(desk, "model_error", 3)
    with desk.house.scope():
        waive(desk.workflow, "gone")
    client = desk.house.operator.client
    client.get("/runs/reasons/model_error/")
    with django_assert_num_queries(OF_NEVER):
        client.get("/runs/reasons/model_error/")


def test_the_list_of_the_api_takes_a_reason(desk: Desk) -> None:
    (run,) = ended(desk, "model_error")
    ended(desk, "rejected")
    found = desk.house.operator.api.get("/api/v1/runs?stop_reason=model_error").json()["items"]
    assert [each["id"] for each in found] == [str(run.pk)] and found[0]["effects"] is None
    assert desk.house.operator.api.get("/api/v1/runs?stop_reason=bad").status_code == 422
    one = desk.house.operator.api.get(f"/api/v1/runs/{run.pk}").json()
    assert one["effects"] == {"done": [], "may_have_happened": [], "failed": [], "not_done": []}
