"""Chat services, by Apprise: which of its addresses are let in, and sending to one.

Apprise knows addresses that run programs, write files and read them (``?template=/etc/passwd``), so what is let in is a list:
of services that are spoken to over HTTP, and of options that only change how a message looks.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from approvals.notices.answers import Answer
from console.workflows import egress

# Apprise's module and class; True: the address names the host that is called.
_SERVICES: tuple[tuple[str, str, str, bool], ...] = (
    ("Slack", "slack", "NotifySlack", False),
    ("Microsoft Teams", "workflows", "NotifyWorkflows", True),
    ("Discord", "discord", "NotifyDiscord", False),
    ("Mattermost", "mattermost", "NotifyMattermost", True),
    ("Rocket.Chat", "rocketchat", "NotifyRocketChat", True),
    ("Telegram", "telegram", "NotifyTelegram", False),
    ("Google Chat", "google_chat", "NotifyGoogleChat", False),
    ("PagerDuty", "pagerduty", "NotifyPagerDuty", False),
    ("Opsgenie", "opsgenie", "NotifyOpsgenie", False),
    ("ntfy", "ntfy", "NotifyNtfy", True),
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
    return _read(url, allow)[0]


def send(url: str, title: str, text: str, allow: Iterable[str]) -> Answer:
    """Hand a message to the service."""
    try:
        name, plugin = _read(url, allow)
    except Refused as refused:
        return Answer(False, said=str(refused))
    with _listening() as heard:
        taken = bool(plugin.notify(title=title, body=text))
    found = next((match[1] for line in heard if (match := re.search(r"error[=: ]+(\d{3})", line))), None)
    status = int(found) if found else None
    if taken:
        return Answer(True, said=f"{name} took it.")
    return Answer(False, status, f"{name} did not take it." if status else f"{name} could not be reached.")


def _read(url: str, allow: Iterable[str]) -> tuple[str, Any]:
    """The service's name and Apprise's object for it. Raises Refused."""
    if len(url) > _MAX or not url.isprintable() or " " in url:
        raise Refused(f"An address is at most {_MAX} printable characters, without spaces.")
    try:
        scheme = urlsplit(url).scheme
        # Apprise finds options behind the first question mark wherever that is, in a fragment, too.
        tail = re.sub("[?#]", "&", url.partition("?")[2])
        options = [name.lower() for name, _ in parse_qsl(tail, keep_blank_values=True)]
    except ValueError:
        raise Refused("This is no address of a chat service.") from None
    strange = next((name for name in options if name not in _OPTIONS), None)
    if strange is not None:
        raise Refused(f"The option {strange[:40]} is not allowed in a chat address.")
    name, own_host, plugin = _plugin(scheme, url)
    if plugin is None:
        raise Refused(f"This is no complete address of a chat service. Known are {EXAMPLES}.")
    if getattr(plugin, "template", None) or getattr(plugin, "attach", None) or plugin.redirects:
        raise Refused("This address asks for more than to show a message.")  # none is known that gets here
    if own_host and getattr(plugin, "mode", "") != "cloud":
        port = f":{plugin.port}" if plugin.port else ""
        fault = egress.fault(f"{'https' if plugin.secure else 'http'}://{plugin.host}{port}/", allow)
        if fault:
            raise Refused(fault)
    return name, plugin


def _plugin(scheme: str, url: str) -> tuple[str, bool, Any]:
    """The first service that knows the address; a pasted https one is known by a few of them."""
    url = url.replace("/#", "/%23")  # a channel's name, to Apprise
    with _listening():
        for name, own_host, kind, asset in _kinds():
            native = scheme == "https"
            if not native and scheme not in _schemes(kind):
                continue
            try:
                found = kind.parse_native_url(url) if native else kind.parse_url(url)
                if found:
                    return name, own_host, kind(**{**found, "asset": asset})
            except (TypeError, ValueError):  # what is missing or makes no sense in it
                break
    return "", False, None


def _schemes(kind: Any) -> set[str]:
    found: set[str] = set()
    for given in (kind.protocol, kind.secure_protocol):
        found |= {given} if isinstance(given, str) else set(given or ())
    return found


@cache
def _kinds() -> list[tuple[str, bool, Any, Any]]:
    """Name, whether the address names the host, class and settings. Imported when the first is needed: it takes half a
    second, and all of Apprise's services would take three times as long."""
    import_module("apprise")
    asset = import_module("apprise.asset").AppriseAsset(
        http_redirects=False, app_id="Sayso", app_desc="Sayso", async_mode=False
    )
    return [
        (name, own_host, getattr(import_module(f"apprise.plugins.{module}"), kind), asset)
        for name, module, kind, own_host in _SERVICES
    ]


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
