"""A chart as a page carries it: what Chart.js draws, the same as a table, the same as a file, and what to notice in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from telemetry import asking

Value = float | int | None


@dataclass(slots=True)
class Series:
    """One line, or one colour of bars. ``link`` leads to the runs behind a value: one for all, or one a value."""

    name: str
    values: Sequence[Value]
    tone: str = ""  # good, harm, wait, machine, ours, plain, faint; empty: in turn
    dash: bool = False
    link: str | Sequence[str] = ""


@dataclass(slots=True)
class Chart:
    """A panel with one picture.

    ``kind`` is line, bar (upright) or across (one bar for each name). ``unit`` is that of the figure: count, seconds,
    dollars, tokens or share. ``starts`` and ``ends`` are the bounds of each label's time, for links; empty where labels are
    names.
    """

    id: str
    title: str
    kind: str
    unit: str
    labels: list[str]
    series: list[Series]
    axis: str = ""
    starts: list[datetime] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    stacked: bool = False
    log: bool = False
    note: str = ""
    first: str = "when"  # what the table's first column holds
    wide: bool = False
    side: dict[str, Any] | None = None  # a short table that the panel shows beside its picture
    empty: str = "Nothing in this time."

    @property
    def blank(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for one in self.series for value in one.values)

    @property
    def data_id(self) -> str:
        """The id of the element that holds :meth:`spec`."""
        return f"data-{self.id}"

    @property
    def tall(self) -> bool:
        """Whether it needs room for names, one below the other."""
        return self.kind == "across" and len(self.labels) > 6

    def spec(self) -> dict[str, Any]:
        """What static/charts.js reads."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "unit": self.unit,
            "axis": self.axis,
            "stacked": self.stacked,
            "log": self.log,
            "labels": self.labels,
            "titles": self.titles,
            "series": [
                {"name": one.name, "tone": one.tone, "dash": one.dash, "link": one.link, "values": list(one.values)}
                for one in self.series
            ],
        }
        if self.starts:
            found["starts"] = [_iso(moment) for moment in self.starts]
            found["ends"] = [_iso(moment) for moment in self.ends]
        return found

    def rows(self) -> list[dict[str, Any]]:
        """The table: ``name``, and for each series ``value`` and ``link``. Empty buckets of time are left out."""
        found = []
        for index, label in enumerate(self.titles or self.labels):
            cells = [{"value": one.values[index], "link": self._link(one, index)} for one in self.series]
            if not self.starts or any(cell["value"] for cell in cells):
                found.append({"name": label, "cells": cells})
        return found

    def _link(self, series: Series, index: int) -> str:
        base = series.link if isinstance(series.link, str) else series.link[index]
        if not base or not self.starts or series.values[index] is None:
            return base
        return f"{base}{'&' if '?' in base else '?'}from={_iso(self.starts[index])}&to={_iso(self.ends[index])}"

    def csv(self) -> str:
        """The table as RFC 4180 says: a heading, every bucket, whole numbers unrounded; times in ISO 8601, UTC."""
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow([self.first, *(f"{one.name} ({self.unit})" for one in self.series)])
        names: Iterable[str] = (
            (_iso(moment) for moment in self.starts) if self.starts else map(asking.cell, self.labels)
        )
        for index, name in enumerate(names):
            writer.writerow([name, *("" if one.values[index] is None else one.values[index] for one in self.series)])
        return out.getvalue()

    @property
    def print(self) -> str:
        """Changes when what is shown does: the page replaces only the panels that say something else."""
        said = json.dumps([self.spec(), self.note, self.side], default=str, sort_keys=True)
        return hashlib.blake2s(said.encode(), digest_size=8).hexdigest()


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
