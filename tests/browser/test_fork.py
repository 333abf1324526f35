"""The form of a fork in a browser: from a step of the journal to a run that says where it comes from."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from console.runs.models import Run
from tests.approvals.desk import Desk
from tests.forked import past, put
from tests.world import World

Visit = Callable[..., Page]


def test_a_run_is_forked_from_a_step_of_its_journal(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    page.locator("#step-4").get_by_role("link").click()
    page.get_by_role("dialog").get_by_role("link", name="Fork from here").click()
    expect(page.get_by_text("1 effect on the world may happen again.")).to_be_visible()
    expect(page.get_by_text("Pay €5.00")).to_be_visible()
    page.get_by_role("button", name="Fork from step 4").click()
    expect(page.get_by_role("alert")).to_contain_text("say that you know")
    with desk.house.scope():
        assert not Run.objects.exclude(fork_of=None).exists()
    page.get_by_role("checkbox", name="I know that this may happen a second time").check()
    page.get_by_role("button", name="Fork from step 4").click()
    expect(page.get_by_role("link", name=f"fork of {run.short} from step 4")).to_be_visible()


def test_another_step_is_chosen_and_its_answer_edited(desk: Desk, world: World, visit: Visit) -> None:
    run = put(desk, past())
    page = visit(world.northwind.operator, f"/runs/{run.pk}/")
    page.get_by_role("link", name="Fork …").click()
    page.get_by_label("From step").select_option("6")
    expect(page.get_by_text("3 recorded steps before it are kept")).to_be_visible()
    page.get_by_label("Do not ask the model again; take this as its answer:").check()
    page.get_by_role("textbox", name="The answer").fill("It is not paid.")
    page.get_by_role("button", name="Fork from step 6").click()
    expect(page.get_by_role("link", name="(edited: answer)")).to_be_visible()
    expect(page.locator("#step-6").get_by_text("edited by")).to_be_visible()
