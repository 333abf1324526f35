"""What of a run's feed reaches a listener who may not see all of it as it is (console/tenants/display.py).

Frames are the same for everyone on a channel, and made once. So for such a listener none is made anew: a frame with
contents is held back, and the page told to fetch what its viewer may see, while a program gets the event with its
contents as that listener may see them. Frames of facts (steps, statuses) go through as they are. Whatever is not known to
be one is held back.

On the queue's feed reviewers, who decide, see a request that waits as it is; once it is over, it is contents like any other
(approvals/showing.py). That it still waits is known of what is said while they listen, and not of what they catch up with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from console.tenants.display import Display

Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
_CONTENTS = ("content", "text", "title", "result", "stop_detail", "run_title")
_MESSAGE = re.compile(r'\s*<template data-upsert="#feed"><li id="message-(\d+)"')
_SEQ = re.compile(r'<span id="feed-seq" data-seq="(\d+)"')
_FACTS = re.compile(
    r'\s*(?:<template data-upsert="#steps">|<span id="run-pill"|<span id="feed-seq"|<i data-reset>|<i data-remove=)'
)
_WAITS = re.compile(r'\s*(?:<span id="last-mention"[^>]*></span>)?<template data-upsert="#queue-list"')
_STREAMS = '<div id="live-streams"'


class Seen:
    """Stands before a server's ``send``. ``display`` makes a new Display: its time is for one frame. ``decides_after``: the
    listener decides, and what is said to wait after this number does."""

    def __init__(
        self, send: Send, run_id: str, display: Callable[[], Display], decides_after: int | None = None
    ) -> None:
        self._send = send
        self._run = run_id
        self._display = display
        self._after = decides_after

    def __call__(self, message: dict[str, Any]) -> Coroutine[Any, Any, None]:
        text = message.get("text")
        return self._send({**message, "text": self._of(text)} if isinstance(text, str) else message)

    def _of(self, text: str) -> str:
        return self._object(text) if text.startswith("{") else self._html(text)

    def _html(self, text: str) -> str:
        found = _MESSAGE.match(text)
        if found:
            return (
                f'<template data-upsert="#feed"><li id="message-{found[1]}" hx-get="/runs/{self._run}/messages/{found[1]}/"'
                f' hx-trigger="load" hx-swap="outerHTML"></li></template>{_marker(text)}'
            )
        if _FACTS.match(text) or (_WAITS.match(text) and self._new(int(_said(text) or 0))):
            return text
        if text.lstrip().startswith(_STREAMS):
            return (
                '<div id="live-streams" hx-swap-oob="true"></div>'  # what is being written: nobody has looked at it yet
            )
        return f"<i data-reset></i>{_marker(text)}"  # a request's title, for one: the page is loaded anew

    def _object(self, text: str) -> str:
        event = json.loads(text)
        data, display = event.get("data"), self._display()
        if event.get("kind") == "request" and data.get("status") == "pending" and self._new(event["seq"]):
            return text
        if isinstance(data, dict) and event.get("kind") not in ("step", "late", "hello"):
            for name in _CONTENTS:
                if name in data:
                    data[name] = display.of(data[name]) if display.shown else None
            if not display.shown:
                data["hidden"] = display.sentence
        return json.dumps(event)

    def _new(self, seq: int) -> bool:
        return self._after is not None and seq > self._after


def _said(text: str) -> str:
    found = _SEQ.search(text)
    return found[1] if found else ""


def _marker(text: str) -> str:
    seq = _said(text)
    return f'<span id="feed-seq" data-seq="{seq}" hidden hx-swap-oob="true"></span>' if seq else ""
