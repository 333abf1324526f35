"""How values are shown: each kind, what must not fool a reader, and any JSON at all, escaped and bounded."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.template.loader import render_to_string
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import amounts, differences, evidence, highlight, legible, shapes, sql
from approvals.shapes import Shape
from tests.approvals.values import MAIL, PATCH, PYTHON, SWAP, VALUES

Json = Any
TAGS = set(
    "a code dd del details div dl dt ins li p pre span strong summary table tbody td th thead time tr ul".split()
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text()
NASTY = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "javascript:alert(1)",
        "https://a@b/<b>",
        "@@ -1 +1 @@\n-<b>\n+</b>\n",
        "SELECT '<b>' FROM",
        "\x00\u202e\ud800\u200b",
        "a@b.c",
        "2026-11-21T10:00:00Z",
        "2026-99-99",
        "#!/bin/sh\n<b>",
        "http://[::1",
        "data:text/html,<b>",
        '"><img src=x onerror=alert(1)>',
        "0001-01-01",
        "```python\n<b>\n```",
    ]
)
VALUE = st.recursive(
    SCALARS | NASTY, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
)
NAMES = st.sampled_from(
    "to cc subject body html old new before after query sql code amount currency url at lang path content".split()
)
ABOUT = st.fixed_dictionaries(
    {},
    optional={
        "x-currency": st.sampled_from(["EUR", "currency", "", "<b>"]),
        "x-language": st.sampled_from(["python", "sql", "<b>", "brainfuck"]),
        "contentMediaType": st.sampled_from(["text/html", "application/json", "text/x-python", "/"]),
        "format": st.sampled_from(["uri", "date-time", "email"]),
        "type": SCALARS,
    },
)


class Strict(HTMLParser):
    """What is not ours in a page: tags, attributes and schemes that no template of a shape writes."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        allowed = {"class", "title", "href", "rel", "target", "tabindex", "role", "aria-label", "aria-hidden", "scope"}
        allowed |= {"open", "colspan", "datetime", "data-time"}
        if tag not in TAGS or not {name for name, _ in attrs} <= allowed:
            self.wrong.append(f"{tag} {attrs}")
        for name, value in attrs:
            if name == "href" and not (value or "").lower().startswith(("http://", "https://")):
                self.wrong.append(str(value))


def drawn(shape: Shape) -> str:
    """A shape through its template, checked: nothing but our own tags, and it can be sent."""
    text = render_to_string("approvals/_shape.html", {"shape": shape})
    text.encode()
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert not parser.wrong, parser.wrong
    return text


def words(text: str) -> str:
    """What remains of markup when the tags are gone."""
    return re.sub(r"<[^>]*>", "", text)


def shape(name: str, value: Json, about: dict[str, Json] | None = None, **beside: Json) -> Shape:
    content = {"schema": {"properties": {name: about or {}}}}
    return shapes.shape_of(name, value, content, {name: value, **beside})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("amount", "money"),
        ("at", "time"),
        ("day", "time"),
        ("site", "url"),
        ("trap", "url"),
        ("notify", "boolean"),
        ("port", "number"),
        ("note", "empty"),
        ("hidden", "text"),
        ("account", "id"),
        ("reason", "lines"),
        ("query", "sql"),
        ("script", "code"),
        ("code", "code"),
        ("patch", "diff"),
        ("tags", "list"),
        ("lines", "table"),
        ("metadata", "tree"),
    ],
)
def test_every_kind_is_known_by_what_it_is(name: str, kind: str) -> None:
    made = shapes.shape_of(name, VALUES[name], {}, VALUES)
    assert made.kind == kind
    assert drawn(made)


@settings(max_examples=250, deadline=None)
@given(
    st.dictionaries(NAMES | st.text(max_size=6), VALUE, max_size=6),
    ABOUT,
    st.dictionaries(NAMES, VALUE, max_size=3),
    st.sampled_from(["", "amount", "amount EUR", "<b> <i>"]),
)
def test_anything_is_drawn_escaped_and_bounded(
    arguments: dict[str, Json], about: dict[str, Json], asked: dict[str, Json], money: str
) -> None:
    content = {"schema": {"properties": dict.fromkeys(arguments, about)}, "money": money, "arguments": asked}
    for row in shapes.rows(arguments, content, "Refund €12.00", [*arguments, *asked], ["a.example"]):
        assert len(drawn(row.shape)) < 200_000
    for change in differences.changes(asked, arguments, [*arguments], shapes.amount_of(content, "")):
        if change.drawn is None:
            render_to_string("approvals/_shape.html", {"shape": Shape("text", change.html)}).encode()
    assert json.loads(legible.exact(arguments)) == arguments
    events = [
        {"type": "ToolCallRequestEvent", "content": [{"id": "1", "name": "x", "arguments": legible.exact(arguments)}]},
        {"type": "ToolCallExecutionEvent", "content": [{"call_id": "1", "name": "x", "content": legible.exact(about)}]},
        {"type": "TextMessage", "content": arguments},
    ]
    for message in evidence.retell(events):
        render_to_string("approvals/_evidence.html", {"message": message}).encode()


@given(st.text(alphabet=st.sampled_from("ab<&\n\u202e\u200b\x00\r\ud800\u0430\u2764\ufe0f")))
def test_what_cannot_be_seen_is_shown_and_said(text: str) -> None:
    shown = legible.visible(text)
    shown.encode()
    for odd, name in (("\u202e", "U+202E"), ("\u200b", "U+200B"), ("\x00", "U+0000"), ("\ud800", "U+D800")):
        assert odd not in shown
        assert (name in shown) == (odd in text)
        assert (odd in text) == any(name in said for said in legible.oddities(text)) or len(set(text)) > 4


def test_letters_that_pass_for_others_are_said_where_they_matter() -> None:
    assert "cyrillic small letter a" in shape("account", "p\u0430ypal").faults[0]
    assert shape("account", "straße-7").faults == [] and shape("name", "Борис").faults == []
    assert shape("site", "https://p\u0430ypal.com/").href == ""
    assert "xn--pypal-4ve.com" in " ".join(shape("site", "https://p\u0430ypal.com/").faults)
    assert shape("ok", "❤\ufe0f 👨\u200d👩").faults == []


def test_only_harmless_addresses_are_links() -> None:
    assert shape("u", "https://shop.example/a?b=1").href == "https://shop.example/a?b=1"
    for text in (
        "javascript:alert(1)",
        "data:text/html,x",
        "https://bank.example@evil.example/",
        "https://x\u200b.example/",
    ):
        made = shape("u", text)
        assert made.href == "" and made.faults, text


def test_money_is_written_with_its_currency_and_never_rounded() -> None:
    assert shape("amount", 1250, {"x-currency": "EUR"}).text == "€1,250.00"
    assert shape("amount", "12.5", {"x-currency": "USD"}).text == "$12.50"
    assert shape("amount", 0.125, {"x-currency": "EUR"}).text == "€0.125"
    assert shape("price", 3, currency="CHF").text == "3.00 CHF"
    assert shape("amount", -5.5, {"x-currency": "EUR"}).faults == ["A negative amount."]
    assert shape("count", 3, currency="CHF").kind == "number"
    assert amounts.money("amount", 5.0, {}, {}, "Refund €5.00 to 1042") == "€5.00"


@pytest.mark.parametrize(
    ("text", "says", "fault"),
    [
        ("SELECT * FROM a JOIN b ON a.id = b.id", "Reads a, b.", ""),
        ("UPDATE orders SET x = 1 WHERE id = 3", "Changes rows of orders.", ""),
        ("UPDATE orders SET x = 1", "Changes rows of orders.", "UPDATE without WHERE: every row of orders."),
        ("delete from a.b -- where id = 3", "Deletes rows of a.b.", "DELETE without WHERE: every row of a.b."),
        ("UPDATE a SET x = (SELECT y FROM b WHERE b.i = a.i)", "Changes rows of a, reading b.", "UPDATE without WHERE"),
        ("DELETE FROM t WHERE 1=1", "Deletes rows of t.", "DELETE whose WHERE is always true"),
        ("DROP TABLE x", "Drops table x.", "Changes the structure of the database (DROP)."),
        ("TRUNCATE orders", "Empties orders.", "Empties whole tables (TRUNCATE)."),
        ("SELECT 1; DELETE FROM t", "2 statements.", "DELETE without WHERE: every row of t."),
        ("SELECT 'x; DROP TABLE y' FROM t FOR UPDATE", "Reads t.", ""),
        ("WITH d AS (DELETE FROM x) SELECT * FROM d", "Reads x.", "Changes data inside a WITH (DELETE)."),
        ("INSERT INTO a VALUES (1) ON CONFLICT (i) DO UPDATE SET x = 1", "Adds rows to a.", ""),
        ("", "", ""),
    ],
)
def test_sql_is_told_in_words(text: str, says: str, fault: str) -> None:
    reading = sql.read(text)
    assert (reading.says[0] if reading.says else "") == says
    assert any(said.startswith(fault) for said in reading.faults) if fault else not reading.faults


@given(st.text(alphabet=st.sampled_from("SELECT UPDATE WHERE FROM();,'\"$`[]/*-. ab1=")))
def test_no_text_upsets_the_reader_of_sql(text: str) -> None:
    sql.read(text)


def test_languages_come_from_the_schema_the_text_and_the_names() -> None:
    def language(name: str, text: str, about: dict[str, Json] | None = None, **beside: Json) -> str:
        return highlight.language_of(name, text, about or {}, beside)

    assert language("x", "a", {"contentMediaType": "text/x-python"}) == "python"
    assert language("x", "a", {"x-language": "ts"}) == "typescript"
    assert language("x", "a", {"x-language": "brainfuck"}) == ""
    assert language("command", "ls -l") == "bash"
    assert language("content", "a", path="src/main.rs") == "rust"
    assert language("code", PYTHON) == "python"
    assert language("script", "#!/usr/bin/env node\n1") == "javascript"
    assert language("query", "select a good restaurant") == "" and language("query", "select a from b") == "sql"
    assert language("reason", "import this") == ""


def test_a_mail_is_one_row_and_its_strangers_are_named() -> None:
    [row] = shapes.rows(MAIL, {}, "", [*MAIL], ["northwind.example"])
    text = drawn(row.shape)
    assert row.names == ("to", "cc", "from", "subject", "body")
    assert row.shape.faults == ["It goes outside the organisation: elsewhere.example."]
    assert text.count("outside</span>") == 1 and "€1,250.00" in text
    html = shapes.rows({**MAIL, "body": "<p>Hello <img src=x></p>"}, {}, "", [*MAIL])[0].shape
    assert "never rendered" in html.note and "&lt;" in drawn(html)
    assert shapes.rows({"to": "Anna", "subject": "Hi", "body": "x"}, {}, "", ["to"])[0].shape.kind != "mail"
    unsaid = shapes.rows({**MAIL, "html": "<b>other</b>"}, {}, "", [*MAIL, "html"])
    assert [row.name for row in unsaid] == ["mail", "html"]


def test_differences_are_drawn_with_their_numbers() -> None:
    made = differences.patch(PATCH)
    assert (made.added, made.removed) == (2, 1)
    assert [(line.old, line.new) for line in made.lines if line.kind != "head"][1:5] == [
        (10, 10),
        (11, None),
        (None, 11),
        (None, 12),
    ]
    [swap, path] = sorted(shapes.rows(SWAP, {}, "", [*SWAP]), key=lambda row: row.shape.kind)
    assert (swap.shape.kind, swap.name, path.name) == ("diff", "old_text → new_text", "path")
    assert drawn(swap.shape).count('class="d-add"') == 1
    assert differences.words("the quick fox", "the slow fox") == "the <del>quick</del><ins>slow</ins> fox"
    assert words(differences.number(1250.0, 900.0)) == "1250.0 → 900.0 (−28 %)"
    assert words(differences.number(0, 900)) == "0 → 900"
    found = differences.changes({"a": 1, "b": True, "c": "x"}, {"a": 1, "b": 1, "d": []}, "abcd", lambda *_: "")
    assert [(change.name, change.kind) for change in found] == [("b", "words"), ("c", "removed"), ("d", "added")]
    [port, share] = differences.changes({"p": 443, "s": 0.5}, {"p": 8444, "s": 1.0}, "ps", lambda *_: "")
    assert (words(port.html), words(share.html)) == ("443 → 8444", "0.5 → 1.0 (+100 %)")
    [paid] = differences.changes({"p": 100}, {"p": 90}, "p", lambda *_: "€")
    assert words(paid.html) == "€ → € (−10 %)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "word " * 52_000),
        ("sql", "SELECT a FROM t WHERE x = 'y';\n" * 8_000),
        ("html", "<p>" * 87_000),
        ("binary", "\x00a" * 128_000),
        ("patch", "@@ -1 +1 @@\n" + "-a\n+b\n" * 43_000),
        ("numbers", list(range(10_000))),
        ("table", [{"a": n} for n in range(10_000)]),
        ("tree", {"x": [[n] for n in range(10_000)]}),
    ],
)
def test_a_page_stays_small(name: str, value: Json) -> None:
    assert len(drawn(shape(name, value))) < 1_200_000
    assert len(legible.exact(value)) < 4_000_000


def test_deep_json_is_shown_on_one_line() -> None:
    deep: Json = "x"
    for _ in range(5_000):
        deep = [deep]
    assert legible.exact(deep) == "[" * 5_000 + '"x"' + "]" * 5_000
    assert drawn(shape("deep", deep))
    many = shapes.rows({f"a{n}": n for n in range(500)}, {}, "", [f"a{n}" for n in range(500)])
    assert len(many) == shapes.ARGUMENTS + 1 and "380 more arguments" in many[-1].shape.text
