"""The card: arguments by their type, what a person changed, what like requests got, and how it came to this."""

from __future__ import annotations

import re
from typing import Any

from approvals.actions.expiry import expire_due
from approvals.models import ApprovalRequest
from console.runs import feed
from console.runs.models import Run
from tests.approvals.desk import Desk, asking, refund
from tests.approvals.values import MAIL, SWAP, VALUES, call
from tests.world import World


def page(desk: Desk, request: ApprovalRequest, who: Any = None, query: str = "") -> str:
    answer = (who or desk.house.reviewer).client.get(f"/queue/{request.pk}/{query}")
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def words(html: str) -> str:
    """The page's text on one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def say(desk: Desk, run: Run, *messages: dict[str, Any]) -> None:
    """Messages in the run's feed."""
    with desk.house.scope():
        for message in messages:
            feed.publish(run.tenant_id, feed.run_topic(run.pk), "message", message)


def test_arguments_are_shown_by_their_type(desk: Desk, world: World) -> None:
    _, [every, mail, swap] = desk.waiting(call(VALUES), call(MAIL, 1), call(SWAP, 2))
    text = page(desk, every)
    assert "€1,250.00" in text and 'class="hl"' in text and "UPDATE without WHERE: every row of orders." in text
    assert "U+202E" in text and "\u202e" not in text.replace(every.title, "")
    assert 'href="https://shop.example/orders/A-1001" rel="noopener noreferrer external"' in text
    assert 'href="https://bank.example@evil.example/login"' not in text
    assert "It goes outside the organisation: elsewhere.example." in page(desk, mail)
    assert "old_text → new_text" in page(desk, swap)
    assert world.fabrikam.reviewer.client.get(f"/queue/{every.pk}/").status_code == 404


def test_what_no_page_can_carry_is_shown_all_the_same(desk: Desk) -> None:
    odd = {"<b>": "<script>alert(1)</script>", "half": "a\ud800b", "nul": "a\x00b", "deep": [[[["\u200b"]]]]}
    run, [request] = desk.waiting(call(odd))
    say(desk, run, {"source": "payer", "type": "TextMessage", "content": "half a pair: \ud83d"})
    text = page(desk, request)
    assert "<script>alert" not in text and "U+D800" in text and "U+0000" in text and "U+D83D" in text
    assert "\\ud800" in text and "\\u0000" in text  # the raw call loses nothing
    for form in ("1", "json"):
        assert "a\\ud800b" in page(desk, request, query=f"?edit={form}")


def test_an_edit_on_the_table_is_shown_against_the_proposal(desk: Desk, world: World) -> None:
    _, [request] = desk.waiting(refund(1250.0, title="Refund €1,250.00 for order A-17", money="amount EUR"))
    assert "changed" not in words(page(desk, request))
    arguments = {"order": "A-17", "amount": 1100.0, "customer": "1042"}
    desk.decide(world.northwind.reviewer, request, "edit", arguments=arguments)
    text = words(page(desk, request, world.northwind.reviewer2))
    assert "What Reviewer changed, and you would approve" in text
    assert "€1,250.00 → €1,100.00 (−12 %)" in text and "added by a person" in text
    assert "Approve as edited" in text and "Approve and refund €1,250.00" not in text
    desk.decide(world.northwind.reviewer2, request, "approve")
    text = words(page(desk, request))
    assert "What Reviewer changed " in text and "€1,250.00 → €1,100.00 (−12 %)" in text
    assert "you would approve" not in text


def test_an_edited_answer_is_the_one_that_is_shown(desk: Desk, world: World) -> None:
    _, [request] = desk.waiting(asking("final", content="Dear customer, it takes 3 days."))
    with desk.house.scope():
        ApprovalRequest.objects.filter(pk=request.pk).update(approvers=2)
    desk.decide(world.northwind.reviewer, request, "edit", answer="Dear Anna, it takes 3 days.")
    text = page(desk, request, world.northwind.reviewer2)
    assert "<del>customer</del><ins>Anna</ins>" in text
    assert "Dear Anna, it takes 3 days." in words(text).replace(" ,", ",")
    assert "Dear Anna, it takes 3 days." in page(desk, request, world.northwind.reviewer2, "?edit=1")
    desk.decide(world.northwind.reviewer2, request, "approve")
    assert "<del>customer</del><ins>Anna</ins>" in page(desk, request)


def test_what_like_requests_got(desk: Desk, world: World) -> None:
    _, [first, second, third] = desk.waiting(refund(10.0), refund(20.0, n=1), refund(30.0, n=2))
    assert "Nothing like this was decided in the last 90 days." in page(desk, third)
    desk.decide(world.northwind.reviewer, first, "approve")
    desk.decide(world.northwind.reviewer, second, "reject", reason="no")
    text = page(desk, third)
    assert "approved 1 edited first 0 rejected 1 median time to decide" in words(text)
    assert f'href="/queue/{first.pk}/"' in text and f'href="/queue/{second.pk}/"' in text
    assert "rejected by Reviewer" in words(text)


def test_how_it_came_to_this(desk: Desk) -> None:
    run, [request] = desk.waiting(refund(40.0))
    say(
        desk,
        run,
        {
            "source": "c",
            "type": "ToolCallRequestEvent",
            "content": [{"id": "1", "name": "look", "arguments": '{"o": 1}'}],
        },
        {
            "source": "c",
            "type": "ToolCallExecutionEvent",
            "content": [
                {"call_id": "1", "name": "look", "is_error": True, "content": '{"total": 12, "lines": [{"a": 1}]}'}
            ],
        },
        {"source": "c", "type": "ToolCallRequestEvent", "content": "not what it should be"},
        {"source": "c", "type": "TextMessage", "content": "word " * 400},
    )
    text = words(page(desk, request))
    assert "Calling look(o=1)" in text and "failed" in text and "total 12" in text
    assert "more characters" in text and "not what it should be" in text


def test_a_card_costs_the_same_however_much_it_shows(desk: Desk, django_assert_max_num_queries: Any) -> None:
    _, [small, every] = desk.waiting(refund(40.0), call({**VALUES, **MAIL}, 1))
    for request in (small, every):
        page(desk, request)
        with django_assert_max_num_queries(38):
            page(desk, request)


def test_who_never_decides_reads_what_each_verdict_would_do(desk: Desk) -> None:
    _, [request] = desk.waiting(refund(40.0))
    text = words(page(desk, request, desk.house.operator))  # who started it, too
    assert "Approve : issue_refund is called at once" in text and "Reject : nothing is called" in text
    assert "Reviewers decide; you are an operator here." in text


def test_what_nobody_answered_is_said_as_that(desk: Desk) -> None:
    _, [request] = desk.waiting(refund(1250.0))
    desk.late(request)
    assert expire_due() == 1
    text = words(page(desk, request))
    assert "Expired: rejected" in text and "Nobody answered in time , so it was rejected" in text
    assert "policy rejected" not in text and "payer wanted to call" in text
