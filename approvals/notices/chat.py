"""Chat services, by Apprise: which of its addresses are let in, and sending to one.

Apprise knows addresses that run programs, write files and read them (``?template=/etc/passwd``), so what is let in is a list:
of services that are spoken to over HTTP, and of options that only change how a message looks.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from approvals.notices.answers import Answer
from console.workflows import egress

# By Apprise's class, since several spellings lead to one. True: the address names the host that is called.
_SERVICES: dict[str, tuple[str, bool]] = {
    "NotifySlack": ("Slack", False),
    "NotifyWorkflows": ("Microsoft Teams", True),
    "NotifyDiscord": ("Discord", False),
    "NotifyMattermost": ("Mattermost", True),
    "NotifyRocketChat": ("Rocket.Chat", True),
    "NotifyTelegram": ("Telegram", False),
    "NotifyGoogleChat": ("Google Chat", False),
    "NotifyPagerDuty": ("PagerDuty", False),
    "NotifyOpsgenie": ("Opsgenie", False),
    "NotifyNtfy": ("ntfy", True),
}
_SCHEMES = frozenset(
    "slack workflow workflows discord mmost mmosts rocket rockets tgram gchat pagerduty opsgenie ntfy ntfys https".split()
)
_OPTIONS = frozenset(
    "api-version sp sv sig ver image footer timestamp blocks mode to channel channels region priority severity action"
    " class group tags xtags thread topic preview silent tts avatar format key token auth key".split()
)
EXAMPLES = (
    "slack://, workflows:// (Teams), discord://, mmosts://, rockets://, tgram://, gchat://, pagerduty://, ntfys://"
)
_MAX = 1_000  # characters of an address


class Refused(ValueError):
    """This address is not let in; the text is a sentence for people, without the address."""


def name_of(url: str, allow: Iterable[str]) -> str:
    """The name of the service that an address leads to. Raises Refused."""
    return _SERVICES[type(_read(url, allow)).__name__][0]


def send(url: str, title: str, text: str, allow: Iterable[str]) -> Answer:
    """Hand a message to the service."""
    try:
        plugin = _read(url, allow)
    except Refused as refused:
        return Answer(False, said=str(refused))
    with _listening() as heard:
        taken = bool(plugin.notify(title=title, body=text))
    found = next((match[1] for line in heard if (match := re.search(r"error[=: ]+(\d{3})", line))), None)
    status = int(found) if found else None
    name = _SERVICES[type(plugin).__name__][0]
    if taken:
        return Answer(True, said=f"{name} took it.")
    return Answer(False, status, f"{name} did not take it." if status else f"{name} could not be reached.")


def _read(url: str, allow: Iterable[str]) -> Any:
    if len(url) > _MAX or not url.isprintable() or " " in url:
        raise Refused(f"An address is at most {_MAX} printable characters, without spaces.")
    try:
        scheme = urlsplit(url).scheme
        # Apprise finds options behind the first question mark wherever that is, in a fragment, too.
        options = [
            name.lower() for name, _ in parse_qsl(re.sub("[?#]", "&", url.partition("?")[2]), keep_blank_values=True)
        ]
    except ValueError:
        raise Refused("This is no address of a chat service.") from None
    if scheme not in _SCHEMES:
        raise Refused(f"Chat services that can be reached: {EXAMPLES}.")
    strange = next((name for name in options if name not in _OPTIONS), None)
    if strange is not None:
        raise Refused(f"The option {strange[:40]} is not allowed in a chat address.")
    with _listening():
        plugin = _apprise().instantiate(url, asset=_asset())
    if type(plugin).__name__ not in _SERVICES:
        raise Refused(f"This is no complete address of a chat service. Known are {EXAMPLES}.")
    if getattr(plugin, "template", None) or getattr(plugin, "attach", None) or plugin.redirects:
        raise Refused("This address asks for more than to show a message.")  # none is known that gets here
    if _SERVICES[type(plugin).__name__][1] and getattr(plugin, "mode", "") != "cloud":
        port = f":{plugin.port}" if plugin.port else ""
        fault = egress.fault(f"{'https' if plugin.secure else 'http'}://{plugin.host}{port}/", allow)
        if fault:
            raise Refused(fault)
    return plugin


@cache
def _module() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Apprise imports what Python 3.13 no longer has, where it can
        import apprise  # it takes a quarter of a second, which no process should pay that never needs it

        apprise.Apprise.instantiate("ntfy://topic")  # it loads its services when the first is asked for
    return apprise


def _apprise() -> Any:
    return _module().Apprise


@cache
def _asset() -> Any:
    return _module().AppriseAsset(http_redirects=False, app_id="Sayso", app_desc="Sayso", async_mode=False)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What Apprise says about a failure, in this thread: it answers only yes or no. Its words may hold the address, so
    they go nowhere else (see LOGGING in the settings)."""
    heard: list[str] = []
    me = threading.get_ident()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == me:
                heard.append(record.getMessage())

    ear, logger = Ear(logging.INFO), logging.getLogger("apprise")
    logger.addHandler(ear)
    try:
        yield heard
    finally:
        logger.removeHandler(ear)
