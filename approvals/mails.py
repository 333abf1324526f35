"""Arguments that together are a mail: who gets it, what it says, and who of them is outside the house. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString

from approvals.legible import exact, oddities, visible

Json = Any
RECIPIENTS = 50  # shown of one kind
_TO = ("to", "recipient", "recipients", "to_address", "to_email", "email")
_COPIES = ("cc", "bcc", "from", "from_address", "from_email", "sender", "reply_to")
_SUBJECT = ("subject",)
_BODY = ("body", "text", "message", "content", "html", "html_body", "body_html", "body_text")
_ADDRESS = re.compile(r"[^@\s<>,;]+@([^@\s<>,;]+)")


@dataclass(slots=True)
class Recipient:
    """One address as it is drawn; ``outside`` the organisation's usual domains."""

    text: SafeString
    outside: bool = False


@dataclass(slots=True)
class Mail:
    """``names`` are the arguments that it is made of; ``lines`` its headers, such as ("to", [Recipient, ...], 3 more)."""

    names: tuple[str, ...]
    lines: list[tuple[str, list[Recipient], int]]
    subject: str
    body: str
    html: bool
    faults: list[str] = field(default_factory=list)

    @property
    def subject_shown(self) -> SafeString:
        """The subject, escaped."""
        return visible(self.subject)


def mail_of(arguments: Mapping[str, Json], usual: Sequence[str] = ()) -> Mail | None:
    """The mail that ``arguments`` are, or None. ``usual`` are the organisation's domains; the sender's is one too."""
    to = next((name for name in _TO if _addresses(arguments.get(name))), None)
    subject = next((name for name in _SUBJECT if isinstance(arguments.get(name), str)), None)
    bodies = [name for name in _BODY if isinstance(arguments.get(name), str)]
    if to is None or subject is None and not any(name.endswith("body") or name.startswith("body") for name in bodies):
        return None
    if not bodies and subject is None:
        return None
    body = bodies[0] if bodies else ""
    names = [to, *(name for name in _COPIES if _addresses(arguments.get(name)))]
    home = {domain.lower() for domain in usual}
    sender = next((name for name in names if name.startswith(("from", "sender"))), "")
    if not home:
        home = {_domain(one) for one in _addresses(arguments.get(sender))}
    mail = Mail(
        (), [], str(arguments.get(subject or "") or ""), str(arguments.get(body) or ""), _is_html(body, arguments)
    )
    outside: list[str] = []
    for name in names:
        found = _addresses(arguments[name])
        there = [one for one in found if home and name != sender and not _at_home(_domain(one), home)]
        outside += [domain for domain in dict.fromkeys(map(_domain, there)) if domain not in outside]
        shown = [Recipient(visible(one), one in there) for one in found[:RECIPIENTS]]
        mail.lines.append((name.replace("_", " "), shown, max(0, len(found) - RECIPIENTS)))
        mail.faults += [said for one in found for said in oddities(one, strict=True)][:4]
        mail.faults += [_foreign(_domain(one)) for one in found if not _domain(one).isascii()][:4]
    if outside:
        who = ", ".join(visible_text(domain) for domain in outside[:5]) + (" and others" if len(outside) > 5 else "")
        mail.faults.insert(0, f"It goes outside the organisation: {who}.")
    mail.names = tuple(filter(None, [*names, subject, body]))
    return mail


def _foreign(host: str) -> str:
    return f"The host {visible_text(host)} has letters other than a to z: {ascii_host(host)}."


def visible_text(text: str) -> str:
    """A domain for a sentence: exact, with what cannot be seen as an escape."""
    return exact(text)[1:-1]


def ascii_host(host: str) -> str:
    """A host as the name service asks for it."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return exact(host)[1:-1]


def json_of(text: str) -> Json:
    """The JSON value in a text, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _addresses(value: Json) -> list[str]:
    """The entries of a field of addresses, each as it came; none unless every one holds an address."""
    if isinstance(value, str):
        entries = [one.strip() for one in re.split(r"[,;]", value)] if value.count("@") > 1 else [value.strip()]
    elif isinstance(value, list):
        entries = [one if isinstance(one, str) else "" for one in value]
    else:
        return []
    entries = [one for one in entries if one] if isinstance(value, str) else entries
    return entries if entries and all(_ADDRESS.search(one) for one in entries) else []


def _domain(address: str) -> str:
    found = _ADDRESS.findall(address)
    return str(found[-1]).lower().rstrip(".") if found else ""


def _at_home(domain: str, home: set[str]) -> bool:
    return any(domain == one or domain.endswith(f".{one}") for one in home)


def _is_html(name: str, arguments: Mapping[str, Json]) -> bool:
    text = str(arguments.get(name) or "")[:2000]
    return "html" in name or bool(re.search(r"<(?:html|body|p|div|a|table|br|span|img)\b[^>]*>", text, re.I))
