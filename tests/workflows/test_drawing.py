"""Drawings: every kind of team has one, boxes do not cover each other, and nothing that JSON can be breaks it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.agents.documents import Finding
from console.workflows.drawing import GAP_Y, WIDTH, figures
from tests.agents.nested import NESTED
from tests.agents.stage import World, agent, team
from tests.agents.test_teams import ALL


@pytest.mark.parametrize("build", ALL)
def test_every_kind_of_team_is_drawn(build: Callable[[], World]) -> None:
    drawn = figures(build().body["team"])
    assert drawn and all(figure.boxes for figure in drawn)
    for figure in drawn:
        for one, other in combinations(figure.boxes, 2):
            beside = abs(one.x - other.x) >= WIDTH
            above = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert beside or above, (figure.title, one.name, other.name)
        assert all(box.x + WIDTH <= figure.width and box.y + box.height <= figure.height for box in figure.boxes)
        assert GAP_Y > 0 and figure.words


def test_what_is_inside_is_drawn_below() -> None:
    titles = {build.__name__: [(one.title, one.inside) for one in figures(build().body["team"])] for build in NESTED}
    assert titles["team_in_team"] == [("site", ""), ("yard", "yard")]
    assert titles["societies"][1] == ("RoundRobinGroupChat", "minds")
    assert titles["agents_as_tools"][1] == ("helper", "boss")
    assert titles["single"] == [("a", "")]


def test_what_was_found_is_marked_where_it_is() -> None:
    document = team("RoundRobinGroupChat", agent("a"), agent("b"))
    found = [
        Finding("$.team.config.participants[1].config.name", "No."),
        Finding("$.team.config.participants[0]", "Hm.", "info"),
    ]
    assert [box.state for box in figures(document, found)[0].boxes] == ["info", "error"]
    many = team("RoundRobinGroupChat", *[agent(f"a{i}") for i in range(12)])
    found = [Finding("$.team.config.participants[1]", "No.")]
    assert [i for i, box in enumerate(figures(many, found)[0].boxes) if box.state] == [1]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "provider config participants workbench tools team agent name graph nodes edges target handoffs".split()
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(values)
def test_anything_can_be_drawn(document: object) -> None:
    figures(document)
    figures({"provider": "x.GraphFlow", "config": {"participants": [document, document], "graph": document}})
    figures({"provider": "x.Swarm", "config": {"participants": [document], "termination_condition": document}})
