"""From a feed event to what a socket is sent: HTML fragments for pages, objects for programs.

A frame is made once per event and process, from the event's payload alone, so it is the same for everyone on a
channel. Each HTML frame ends with a marker that carries the sequence number; static/live.js reads it when a page
reconnects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a topic. ``seq`` is None for ephemerals (text while it streams)."""

    topic: str
    seq: int | None
    kind: str
    at: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Frame:
    """An event, ready to send: the ASGI messages shared by every socket that gets it."""

    seq: int | None
    html: dict[str, str]
    json: dict[str, str]


def frame(event: Event) -> Frame:
    """The frame of an event; rendered with templates/live/<kind>.html."""
    context = {"event": event.payload, "kind": event.kind, "seq": event.seq, "at": event.at, "topic": event.topic}
    return Frame(event.seq, _text(render_to_string("live/frame.html", context)), _text(as_json(event)))


def as_json(event: Event) -> str:
    """The object that a program gets: ``{"seq", "kind", "at", "data"}``, where data is the event's payload."""
    return json.dumps({"seq": event.seq, "kind": event.kind, "at": event.at, "data": event.payload}, default=str)


def hello(seq: int) -> dict[str, str]:
    """The first object of a JSON socket: where the topic stands."""
    return _text(json.dumps({"seq": seq, "kind": "hello", "at": None, "data": {}}))


def streams(texts: Iterable[Payload]) -> dict[str, str]:
    """The HTML frame that shows all the texts now streaming on a run's page; a newer one replaces it."""
    return _text(render_to_string("live/streams.html", {"texts": list(texts)}))


def reset() -> dict[str, str]:
    """Tells a page that it has missed too much and should load itself again."""
    return _text(render_to_string("live/reset.html"))


def _text(text: str) -> dict[str, str]:
    return {"type": "websocket.send", "text": text}
