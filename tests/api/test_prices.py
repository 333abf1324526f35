"""What models cost, over HTTP and on its page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.problems import problem
from tests.world import World

MINE = {"model": "house-*", "input": 1, "output": "2.50", "cached": None}


def test_a_list_is_set_by_admins_and_read_by_all(world: World) -> None:
    admin, reviewer = world.northwind.admin.api, world.northwind.reviewer.api
    assert reviewer.get("/api/v1/prices").json()["version"] == 0
    made = admin.put("/api/v1/prices", {"prices": [MINE], "reason": "our contract", "version": 0})
    assert made.status_code == 200, made.content
    told = reviewer.get("/api/v1/prices").json()
    assert told["version"] == 1 and told["author"] == world.northwind.admin.user.name and told["used"] == []
    assert told["prices"] == [{"model": "house-*", "input": "1", "output": "2.5", "cached": None}]
    assert admin.put("/api/v1/prices", {"prices": [MINE]}).json()["version"] == 1  # twice is once
    problem(admin.put("/api/v1/prices", {"prices": [], "version": 0}), 409)
    problem(reviewer.put("/api/v1/prices", {"prices": []}), 403)
    assert world.fabrikam.admin.api.get("/api/v1/prices").json()["version"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prices": [{**MINE, "input": -1}]}, "prices[0].input"),
        ({"prices": [MINE, {**MINE, "output": "1e999"}]}, "prices[1].output"),
        ({"prices": [MINE, MINE]}, "prices[1].model"),
        ({"prices": "free"}, "prices"),
        ({"prices": [MINE], "reason": ["x"]}, "reason"),
        ({"prices": [MINE], "version": -1}, "version"),
        ({"prices": [MINE], "currency": "EUR"}, "currency"),
        ({}, "prices"),
    ],
)
def test_nonsense_is_refused(world: World, body: Any, field: str) -> None:
    problem(world.northwind.admin.api.put("/api/v1/prices", body), 422, field)
    assert world.northwind.admin.api.get("/api/v1/prices").json()["version"] == 0


def form(*rows: tuple[str, str, str, str], **more: str) -> dict[str, Any]:
    columns = zip(("model", "input", "cached", "output"), zip(*rows, strict=True), strict=True)
    return {**{name: list(values) for name, values in columns}, **more}


def test_the_page(world: World) -> None:
    client = world.northwind.admin.client
    assert "No run has asked a model" in client.get("/prices/").content.decode()
    empty = ("", "", "", "")
    sent = client.post("/prices/", form(("house-*", "1", "", "2"), empty, version="0", reason="why not"))
    assert sent.status_code == 302
    page = client.get("/prices/?saved=1").content.decode()
    assert 'value="house-*"' in page and "version 1" in page and "why not" in page
    late = client.post("/prices/", form(("m", "1", "", "2"), version="0"))
    assert late.status_code == 409 and 'value="m"' in late.content.decode()
    odd = client.post("/prices/", form(empty, ("m", "-1", "", ""), version="1"))
    assert odd.status_code == 422 and odd.content.decode().count('class="error"') == 2
    for version in ("x", "-1", "9" * 30, "٣"):
        assert client.post("/prices/", form(empty, version=version)).status_code == 422
    assert client.post("/prices/", form(("a\x00", "1", "1", "1"), version="1")).status_code in (400, 422)
    assert client.post("/prices/", {}).status_code == 302  # all rows cleared
    assert world.northwind.admin.api.get("/api/v1/prices").json()["prices"] == []
    for member in (world.northwind.operator, world.northwind.reviewer):
        assert member.client.get("/prices/").status_code == 403
