"""What the list of runs can be narrowed to, and by what it is put in order: what an address of it may say.

Figures elsewhere link to the runs behind them, so all that a figure can be cut by is here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, ExpressionWrapper, F, FloatField, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Extract, Now

from console import paging
from console.runs.models import Run, Step
from console.tenants.display import Display
from console.workflows.reasons import ABOUT

WORDS = ("status", "workflow", "reason", "q")  # what the form of the page asks
MORE = ("from", "to", "on", "revision", "agent", "model", "tool", "topic", "like", "sort")  # what links say besides
MANY = 200  # runs in a list that is not by time
LOOKED = 2000  # runs with the words asked for that are looked through for those where they are not blotted out
ON = {"started": "created_at", "ended": "ended_at"}
LIKE = {
    "retry": ("retries", Q(retry_of__isnull=False)),
    "fork": ("forks", Q(fork_of__isnull=False)),
    "abnormal": (
        "ended as they should not",
        Q(stop_reason__in=[str(r) for r, about in ABOUT.items() if about.abnormal]),
    ),
    "unpriced": ("with steps that have no known price", Q(unpriced_steps__gt=0)),
}
_WAITING = Extract(Now() - F("waiting_since"), "epoch")
SORTS: dict[str, tuple[str, Any]] = {
    "machine": ("most machine time first", F("model_s") + F("tool_s")),
    "waited": ("longest waited for people first", F("waiting_s") + Coalesce(_WAITING, 0.0, output_field=FloatField())),
    "queue": ("longest queued first", F("queue_s")),
    "cost": ("dearest first", F("cost")),
    "tokens": ("most tokens first", F("input_tokens") + F("output_tokens")),
}
_STEP = {"agent": "agent", "model": "name", "tool": "name"}


@dataclass(slots=True)
class Wanted:
    """What an address asks for. ``faults`` says what of it cannot be read, and is left out; ``words`` are all as typed."""

    words: dict[str, str]
    start: datetime | None = None
    end: datetime | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def sort(self) -> str:
        """One of SORTS, or empty: newest first."""
        return self.words["sort"]

    @property
    def said(self) -> list[str]:
        """What the list is narrowed to besides the form's words, each as a person reads it."""
        words = self.words
        found = [f"{name} {words[name]}" for name in ("revision", "agent", "model", "tool", "topic") if words[name]]
        if words["like"]:
            found.append(LIKE[words["like"]][0])
        on = "ended" if words["on"] == "ended" else "started"
        if self.start and self.end:
            found.append(f"{on} from {_clock(self.start)} to {_clock(self.end)} UTC")
        elif self.start or self.end:
            found.append(f"{on} {'from' if self.start else 'before'} {_clock(self.start or self.end)} UTC")
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """``runs`` with their titles as the viewer may see them, and the cursor of what is ``after`` them. ``looked``: 0, or how
    many were looked through where that was as many as may be and the page is not full, so that there may be more."""

    runs: list[Run]
    after: str | None
    looked: int = 0


def read(values: Mapping[str, str]) -> Wanted:
    """What ``values`` (of an address) ask for. Nonsense is left out and named, so that a list is never silently another."""
    words = {name: values.get(name, "").replace("\x00", "").strip()[:200] for name in (*WORDS, *MORE)}
    wanted = Wanted(words)
    for name, known in (("on", ON), ("like", LIKE), ("sort", SORTS)):
        if words[name] and words[name] not in known:
            wanted.faults.append(f"“{name}” must be one of {', '.join(known)}")
            words[name] = ""
    if words["revision"] and not (
        words["revision"].isascii() and words["revision"].isdigit() and len(words["revision"]) < 10
    ):
        wanted.faults.append("“revision” must be the number of a revision")
        words["revision"] = ""
    wanted.start, wanted.end = (_moment(wanted, name) for name in ("from", "to"))
    if wanted.start and wanted.end and wanted.start >= wanted.end:
        wanted.faults.append("“from” must be before “to”")
        wanted.start = wanted.end = None
        words["from"] = words["to"] = ""
    return wanted


def narrowed(rows: QuerySet[Run], wanted: Wanted) -> QuerySet[Run]:
    """``rows`` narrowed to what is asked for; call in the tenant's scope. In order only where ``wanted.sort`` says so."""
    words = wanted.words
    plain = {
        "status": "status",
        "workflow": "workflow__slug",
        "reason": "stop_reason",
        "q": "title__icontains",
        "revision": "revision__number",
        "topic": "metadata__topic",
    }
    rows = rows.filter(**{plain[name]: value for name, value in words.items() if value and name in plain})
    moment = ON[words["on"] or "started"]
    if wanted.start:
        rows = rows.filter(**{f"{moment}__gte": wanted.start})
    if wanted.end:
        rows = rows.filter(**{f"{moment}__lt": wanted.end})
    if words["like"]:
        rows = rows.filter(LIKE[words["like"]][1])
    for name, column in _STEP.items():
        if words[name]:
            steps = Step.objects.filter(run_id=OuterRef("pk"), inherited=False, **{column: words[name]})
            rows = rows.filter(Exists(steps if name == "agent" else steps.filter(kind=name)))
    if wanted.sort:
        by = ExpressionWrapper(SORTS[wanted.sort][1], output_field=FloatField())
        rows = rows.annotate(by=by).order_by("-by", "-created_at", "-id")
    return rows


def page(rows: QuerySet[Run], wanted: Wanted, shown: Display, cursor: str | None) -> Page:
    """A page of ``narrowed`` rows. Raises BadCursor.

    What is blotted out is not found by looking for it, so words are looked for in what can be read, until a page is full.
    """
    after: str | None = None
    if wanted.words["q"] and not shown.plain:
        return _readable(rows, wanted, shown, cursor)
    if wanted.sort:
        found = list(rows[:MANY])
    else:
        found, after = paging.page(rows, cursor, paging.LIMIT)
    for run in found:
        run.title = shown.title(run.title)
    return Page(found, after)


def _readable(rows: QuerySet[Run], wanted: Wanted, shown: Display, cursor: str | None) -> Page:
    words, most = wanted.words["q"].casefold(), MANY if wanted.sort else paging.LIMIT
    rows = rows if wanted.sort else paging.behind(rows, cursor)
    titles: dict[UUID, str] = {}
    looked, short = 0, False
    for key, title in rows.values_list("pk", "title")[: LOOKED + 1]:
        short = looked == LOOKED or (looked > 0 and shown.masker.spent)
        if short or len(titles) > most:
            break
        looked += 1
        seen = shown.title(title)
        if words in seen.casefold():
            titles[key] = seen
    found = list(rows.filter(pk__in=titles))
    for run in found:
        run.title = titles[run.pk]
    if len(found) < most + (not short):
        return Page(found, None, looked if short else 0)
    # The cursor names the last run, so it is always of one that is shown: which ones hide the words is not to be told.
    last = found[most - 1]
    return Page(found[:most], None if wanted.sort else paging.at(last.created_at, last.id))


def _moment(wanted: Wanted, name: str) -> datetime | None:
    text = wanted.words[name]
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted.faults.append(f"“{name}” must be a date or a time such as 2026-03-01 or 2026-03-01T14:00")
        wanted.words[name] = ""
        return None


def _clock(moment: datetime | None) -> str:
    return f"{moment:%-d %b %Y, %H:%M}" if moment else ""
