"""The import page in a browser, with the real files of AutoGen Studio where they lie beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.approvals.desk import Desk
from tests.studio import first_version, names, own_files, studio
from tests.world import World

Visit = Callable[..., Page]


@pytest.mark.parametrize("document", [studio(), *own_files("team.json")], ids=names("team.json"))
def test_a_file_becomes_a_revision(
    desk: Desk, world: World, visit: Visit, tmp_path: Path, document: dict[str, Any]
) -> None:
    file = tmp_path / "team.json"
    file.write_text(json.dumps(document))
    page = visit(world.northwind.admin, "/workflows/")
    page.get_by_role("link", name="Import a team").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("can be saved")).to_be_visible()
    drawing = page.get_by_role("img", name="RoundRobin Team")
    expect(drawing).to_contain_text("assistant_agent")
    expect(drawing).to_contain_text("calculator")
    page.get_by_label("Name of a new workflow").fill("From Studio")
    page.get_by_label("Why").fill("As it was prototyped")
    page.get_by_role("button", name="Save the revision").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("From Studio")
    expect(page.get_by_text("The team stops and asks a person before each call of calculator.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("What is in it")


def test_a_tool_is_mapped_by_hand_and_a_fault_is_put_right_on_the_page(desk: Desk, world: World, visit: Visit) -> None:
    document = first_version()
    document["config"]["participants"][0]["config"]["tools"][0]["config"]["name"] = "launch"
    document["config"]["participants"][1]["provider"] = "os.system"
    page = visit(world.northwind.admin, "/workflows/import/")
    page.get_by_label("Or paste it").fill(json.dumps(document))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("refused as it is")).to_be_visible()
    expect(page.get_by_text("os.system is not on the list of what may be an agent.")).to_be_visible()
    expect(page.get_by_role("button", name="Save the revision")).to_be_disabled()
    document["config"]["participants"][1]["provider"] = "autogen_agentchat.agents.AssistantAgent"
    page.get_by_label("Document").fill(json.dumps(document))
    page.get_by_role("button", name="Look again").last.click()
    expect(page.get_by_text("tools to be mapped")).to_be_visible()
    page.get_by_label("launch").select_option("calculator")
    page.get_by_role("button", name="Look again").first.click()
    expect(page.get_by_text("can be saved")).to_be_visible()
    expect(page.get_by_role("button", name="Save the revision")).to_be_enabled()
    page.get_by_label("Name of a new workflow").fill("Mapped by hand")
    page.get_by_role("button", name="Save the revision").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mapped by hand")
