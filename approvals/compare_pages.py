"""Two runs side by side: where they part, what differs there, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from approvals.differences import words
from console.durable.steps import Step
from console.runs import comparing, prompts, reading
from console.runs.comparing import Pair, Parting
from console.runs.models import Run
from console.templatetags.sayso import duration, pretty, usd
from console.tenants import access, crypto, display
from console.tenants.access import actor_of
from console.tenants.display import Display

Json = Any
_RUN = Run.objects.select_related("workflow", "revision")
LONGEST = 20_000  # characters of a text that is compared; the rest is on the step's own page
WHAT = {"request": "what was asked", "result": "what was answered", "status": "how it ended", "name": "what was called"}


@dataclass(slots=True)
class Figure:
    """One figure of both runs, and the second's against the first's; empty where one is not known."""

    name: str
    a: str
    b: str
    delta: str


@dataclass(slots=True)
class Shown:
    """A pair as it is drawn: in words, ``answer`` is the difference of what was answered."""

    pair: Pair
    what: str
    link: str
    answer: SafeString | str
    figures: list[Figure]
    opened: bool = False


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """``?a=ID&b=ID``; with ``&scope=S&n=N`` one pair in full, ``&page=K`` further pairs. 422 for what is no id."""
    actor = actor_of(request)
    shown = display.of(actor)
    given = {name: request.GET.get(name, "").strip()[:100] for name in ("a", "b")}
    keys = {name: _uuid(text) for name, text in given.items()}
    wrong = [name.upper() for name, key in keys.items() if key is None]
    if wrong:
        problem = (
            f"{' and '.join(wrong)}: give the id of a run, as it is in its address." if any(given.values()) else ""
        )
        asked = {"section": "runs", "given": given, "problem": problem}
        return render(request, "runs/compare.html", asked, status=422 if problem else 200)
    a, b = (access.get(_RUN, actor, pk=keys[name]) for name in ("a", "b"))
    a.title, b.title = shown.title(a.title), shown.title(b.title)
    many = comparing.count(a.pk, b.pk)
    page = _number(request.GET.get("page", ""), max(many - 1, 0) // comparing.PAGE)
    found = comparing.pairs(a.pk, b.pk, comparing.places(a.pk, b.pk, page * comparing.PAGE, comparing.PAGE))
    opened = (request.GET.get("scope", "").replace("\x00", ""), _number(request.GET.get("n", ""), 10**8))
    query = {"a": str(a.pk), "b": str(b.pk)}
    inputs = [shown.of(crypto.unseal_json(one.tenant_id, "run.input", bytes(one.sealed_input))) for one in (a, b)]
    parted = comparing.parting(a.pk, b.pk)
    context: dict[str, Any] = {
        "section": "runs", "given": given, "a": a, "b": b, "display": shown,
        "headline": headline(parted, a, b), "figures": _figures(a, b), "same_run": a.pk == b.pk,
        "input": "" if inputs[0] == inputs[1] else words(pretty(inputs[0])[:LONGEST], pretty(inputs[1])[:LONGEST]),
        "rows": [_row(pair, shown, query, page, opened) for pair in found],
        "in_full": _in_full(a.pk, b.pk, opened, shown),
        "many": many, "first": page * comparing.PAGE + 1, "last": page * comparing.PAGE + len(found),
        "before": "?" + urlencode({**query, "page": page - 1}) if page else "",
        "after": "?" + urlencode({**query, "page": page + 1}) if (page + 1) * comparing.PAGE < many else "",
    }  # fmt: skip
    return render(request, "runs/compare.html", context)


def headline(parted: Parting, a: Run, b: Run) -> str:
    """Where they part, and what the second took more, in a sentence."""
    pair = parted.pair
    if pair is None:
        said = (
            "The two did the same, step by step" if parted.whole else f"The same in the first {parted.before:,} steps"
        )
    else:
        step, whose = pair.one, f"{pair.one.agent}'s " if pair.one.agent else ""
        until = f"The same until step {step.seq}, where" if parted.before else "They differ from the first step on:"
        if pair.state != "differs":
            said = f"{until} only {'A' if pair.b is None else 'B'} has {whose}{_called(step)}"
        else:
            said = f"{until} {_differs(pair, whose)}"
    more = [part for part in (_more(b.cost - a.cost), _longer(_machine(b) - _machine(a))) if part]
    return said + ("; B " + " and ".join(more) if more else "") + "."


def _differs(pair: Pair, whose: str) -> str:
    kind = pair.one.kind
    noun = {"model": "answer", "tool": f"result of {pair.one.name}"}.get(str(kind), "decision")
    asked = {"model": "prompt", "tool": f"call of {pair.one.name}"}.get(str(kind), "question to a person")
    if comparing.NAME in pair.differs:
        return f"{whose}{_called(pair.one)} is another one"
    return f"{whose}{asked if comparing.REQUEST in pair.differs else noun} differs"


def _called(step: Step) -> str:
    words = {"model": "model call", "tool": f"call of {step.name}"}
    return words.get(str(step.kind), f"{step.kind} by a person")


def _more(cost: Decimal) -> str:
    return f"cost {usd(abs(cost))} {'more' if cost > 0 else 'less'}" if cost else ""


def _longer(seconds: float) -> str:
    return (
        f"was at work {duration(abs(seconds))} {'longer' if seconds > 0 else 'shorter'}" if abs(seconds) >= 0.1 else ""
    )


def _machine(run: Run) -> float:
    return run.model_s + run.tool_s


def _figures(a: Run, b: Run) -> list[Figure]:
    now = timezone.now()

    def elapsed(run: Run) -> float:
        return ((run.ended_at or now) - run.created_at).total_seconds()

    tokens = [run.input_tokens + run.output_tokens for run in (a, b)]
    return [
        Figure("cost", _cost(a), _cost(b), _delta(b.cost - a.cost, usd)),
        Figure("tokens", f"{tokens[0]:,}", f"{tokens[1]:,}", _delta(tokens[1] - tokens[0], lambda n: f"{n:,}")),
        Figure("machine time", duration(_machine(a)), duration(_machine(b)), _delta(_machine(b) - _machine(a), duration)),
        Figure("waiting for people", duration(a.waiting_s), duration(b.waiting_s), _delta(b.waiting_s - a.waiting_s, duration)),
        Figure("from start to end", duration(elapsed(a)), duration(elapsed(b)), _delta(elapsed(b) - elapsed(a), duration)),
    ]  # fmt: skip


def _cost(run: Run) -> str:
    return usd(run.cost) + (f" + {run.unpriced_steps} unpriced" if run.unpriced_steps else "")


def _delta(by: Any, words: Any) -> str:
    return "the same" if not by else f"{'+' if by > 0 else '−'}{words(abs(by))}"


def _row(pair: Pair, shown: Display, query: dict[str, str], page: int, opened: tuple[str, int]) -> Shown:
    link = "?" + urlencode({**query, "page": page, "scope": pair.scope, "n": pair.n}) + "#in-full"
    what = " and ".join(WHAT[each] for each in pair.differs)
    differs = comparing.RESULT in pair.differs and shown.shown
    answer = words(_text(pair.a, shown), _text(pair.b, shown)) if differs else ""
    return Shown(pair, what, link, answer, _of_steps(pair), opened == (pair.scope, pair.n))


def _of_steps(pair: Pair) -> list[Figure]:
    a, b = pair.a, pair.b
    found = [Figure("took", *_both(a, b, _took, duration)), Figure("tokens", *_both(a, b, _tokens, "{:,}".format))]
    paid = Figure("cost", *_both(a, b, _paid, usd))
    return [each for each in (*found, paid) if each.a != "–" or each.b != "–"]


def _both(a: Step | None, b: Step | None, of: Any, said: Any) -> tuple[str, str, str]:
    one, other = (None if step is None else of(step) for step in (a, b))
    delta = _delta(other - one, said) if one is not None and other is not None and one != other else ""
    return ("–" if one is None else said(one)), ("–" if other is None else said(other)), delta


def _took(step: Step) -> float | None:
    ended: datetime | None = step.ended_at
    return None if ended is None else max((ended - step.started_at).total_seconds(), 0.0)


def _tokens(step: Step) -> int | None:
    used = dict(prompts.used(step.usage))
    return used.get("asked", 0) + used.get("answered", 0) if used else None


def _paid(step: Step) -> Decimal | None:
    return None if step.cost is None else Decimal(step.cost)


def _text(step: Step | None, shown: Display) -> str:
    """What a step said, as a text to compare."""
    if step is None:
        return ""
    result = shown.of(step.error if step.error is not None else step.result)
    if step.kind == "model" and isinstance(result, dict) and "content" in result:
        return prompts.words(result["content"])[:LONGEST]
    return pretty(result if result is not None else "")[:LONGEST]


def _in_full(a: UUID, b: UUID, identity: tuple[str, int], shown: Display) -> dict[str, Any] | None:
    """One pair with its prompts, message by message; None where none is asked for, or there is none of that identity."""
    scope, n = identity
    if not scope or not n:
        return None
    sides = [reading.at(run, scope, n) for run in (a, b)]
    if not any(sides):
        return None
    talks, tools = [_talk(side, shown) for side in sides], [_offered(side, shown) for side in sides]
    if tools[0] != tools[1]:
        talks = [talk + offered for talk, offered in zip(talks, tools, strict=True)]
    return {
        "scope": scope, "n": n, "one": next(side.step for side in sides if side),
        "sides": [side.step if side else None for side in sides],
        "lines": _aligned(*talks) if shown.shown else [],
        "answers": [_text(side.step if side else None, shown) for side in sides],
        "diff": words(*(_text(side.step if side else None, shown) for side in sides)),
    }  # fmt: skip


def _talk(side: reading.Whole | None, shown: Display) -> list[str]:
    """What was asked, one text a message."""
    if side is None:
        return []
    found = prompts.prompt(side, shown)
    if found is None:
        return [pretty(shown.of(side.request))[:LONGEST]]
    return [prompts.spoken(said)[:LONGEST] for said in [*found.before, *found.new]]


def _offered(side: reading.Whole | None, shown: Display) -> list[str]:
    """The tools that a model was offered, as a line of its own; nothing where there was none."""
    found = prompts.prompt(side, shown) if side else None
    return ["tools offered: " + ", ".join(name for name, _, _ in found.tools)] if found and found.tools else []


def _aligned(a: Sequence[str], b: Sequence[str]) -> list[tuple[str, Any]]:
    """Messages of both: ("same", how many), ("diff", html), ("a", text) or ("b", text)."""
    found: list[tuple[str, Any]] = []
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(("same", a2 - a1))
            continue
        both = min(a2 - a1, b2 - b1)
        found += [("diff", words(a[a1 + i], b[b1 + i])) for i in range(both)]
        found += [("a", text) for text in a[a1 + both : a2]] + [("b", text) for text in b[b1 + both : b2]]
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _number(text: str, most: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
