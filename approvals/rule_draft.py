"""A draft of rules on its page: kept in the page's own form, never stored before it is saved."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.http import QueryDict

from approvals import rule_actions, rule_form
from console.workflows.errors import Refused

Json = Any


@dataclass
class Sheet:
    """The list as it stands on the page. ``text`` is its JSON; ``rules`` is None while that cannot be used.

    ``typed`` are the fields of the rule that is being written, with its ``errors``.
    """

    rules: list[Json] | None
    text: str = ""
    faults: list[tuple[str, str]] = field(default_factory=list)
    typed: dict[str, Json] = field(default_factory=lambda: dict(rule_form.EMPTY))
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether all of it can be tried and saved."""
        return self.rules is not None and not self.faults and not self.errors


def of(rules: list[Json]) -> Sheet:
    """The sheet of a list that is kept."""
    return Sheet(rules, _pretty(rules))


def read(post: QueryDict, do: str) -> Sheet:
    """The sheet as it was sent, after what was asked of it: a rule that was written is taken into the list first."""
    sheet = _parsed(post.get("rules", ""))
    sheet.typed = rule_form.typed(post)
    if sheet.rules is None or do == "forget":
        sheet.typed = dict(rule_form.EMPTY) if do == "forget" else sheet.typed
        return sheet
    if rule_form.said(sheet.typed) or do == "put":
        _take(sheet)
    verb, _, place = do.partition(":")
    at = _place(place)
    if at is not None and at < len(sheet.rules) and not sheet.errors:
        _move(sheet, verb, at)
    sheet.text = _pretty(sheet.rules)
    return sheet


def _parsed(text: str) -> Sheet:
    if not text.strip():  # no list is no empty list: it may just have been left out
        return Sheet(None, text, [("$.rules", "is missing: write [] for no rules")])
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return Sheet(None, text, [("$.rules", f"is no JSON: {error}")])
    try:
        return Sheet(rule_actions.checked(found), text)
    except Refused as refused:
        return Sheet(None, text, [(each.path, each.message) for each in refused.findings])


def _take(sheet: Sheet) -> None:
    """Put the rule that was written into the list; where something is wrong with it, it stays in its fields."""
    rules, typed = list(sheet.rules or []), sheet.typed
    at = _place(typed["at"])
    at = at if at is not None and at < len(rules) else None
    if at is not None:
        rules.pop(at)
    wanted = _place(typed["place"])
    place = wanted - 1 if wanted is not None else len(rules) if at is None else at
    place = max(0, min(place, len(rules)))
    rules.insert(place, rule_form.rule(typed))
    try:
        sheet.rules = rule_actions.checked(rules)
        sheet.typed = dict(rule_form.EMPTY)
    except Refused as refused:
        here = f"$.rules[{place}]"
        sheet.errors = rule_form.errors([(each.path.removeprefix(here), each.message) for each in refused.findings])


def _move(sheet: Sheet, verb: str, at: int) -> None:
    rules = list(sheet.rules or [])
    if verb == "edit":
        sheet.typed = rule_form.fields(rules[at], at)
    elif verb == "delete":
        rules.pop(at)
    elif verb in ("up", "down"):
        to = at + (-1 if verb == "up" else 1)
        if 0 <= to < len(rules):
            rules[at], rules[to] = rules[to], rules[at]
    sheet.rules = rules


def _place(text: str) -> int | None:
    """The place in a list that was typed, or None where it is no number that a list could have."""
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _pretty(rules: list[Json]) -> str:
    return json.dumps(rules, indent=2, ensure_ascii=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
