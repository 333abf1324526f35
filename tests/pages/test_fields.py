"""The form made from a tool's schema: what is shown is what comes back, with its type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.errors import Invalid
from approvals.fields import fields_of, read, read_json
from console.runs.waterfall import Scale

SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "express": {"type": "boolean"},
        "method": {"type": "string", "enum": ["card", "voucher"]},
        "lines": {"type": "array"},
    },
    "required": ["order"],
}
plain = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "more", "x y"]), values))
def test_an_untouched_form_gives_the_same_arguments(arguments: dict[str, object]) -> None:
    sent = {one.input: one.value for one in fields_of(SCHEMA, arguments)}
    assert read(SCHEMA, arguments, sent) == arguments


def test_types_come_from_the_schema() -> None:
    arguments = {"order": "A-17", "amount": 1.5, "express": True}
    sent = {one.input: one.value for one in fields_of(SCHEMA, arguments)}
    typed = {
        **sent,
        "arg.amount": " 2 ",
        "arg.express": "false",
        "arg.order": "7",
        "arg.method": "card",
        "arg.lines": "[1]",
    }
    assert read(SCHEMA, arguments, typed) == {
        "order": "7", "amount": 2, "express": False, "method": "card", "lines": [1],
    }  # fmt: skip
    assert "amount" not in read(SCHEMA, arguments, {**sent, "arg.amount": ""})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("amount", "1,250.00"),
        ("amount", "true"),
        ("amount", "NaN"),
        ("amount", "1e999"),
        ("lines", "[-1e999]"),
        ("express", "perhaps"),
        ("lines", "[1,"),
    ],
)
def test_text_that_is_no_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(SCHEMA, {"order": "A-17"}, {"arg.order": "A-17", f"arg.{name}": text})
    assert refused.value.field == name


def test_json_says_where_it_breaks() -> None:
    with pytest.raises(Invalid, match="line 2, column 3"):
        read_json('{"a": 1,\n  b}')


@pytest.mark.parametrize("text", ['{"amount": 1e999}', '{"amount": NaN}', "9" * 5_000])
def test_numbers_that_json_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_json(text)
    assert refused.value.field == "arguments"


def test_what_is_no_object_gets_no_form() -> None:
    assert fields_of(SCHEMA, "text") == fields_of(SCHEMA, None) == fields_of(SCHEMA, [1]) == []


def test_waits_are_shortened_and_work_is_to_scale() -> None:
    scale = Scale(3600.0, [(0.0, 2.0), (3598.0, 3600.0)])
    assert scale.compressed
    assert scale.x(0) == 0 and scale.x(3600) == 100
    assert scale.x(2) - scale.x(0) == pytest.approx(scale.x(3600) - scale.x(3598), abs=0.1)
    assert scale.x(2) > 30
    assert scale.seconds(scale.x(1.0)) == pytest.approx(1.0, abs=0.01)
