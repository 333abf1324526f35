"""What carries a notice out of the house: HTTP, mail and chat. Nothing here touches the database."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import httpx
from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from approvals.notices import chat
from approvals.notices.answers import EXCERPT, Answer
from console.workflows import egress

TIMEOUT = 10.0  # seconds for a whole answer
READ = 4_096  # bytes of an answer that are looked at


class Transports(Protocol):
    """The three ways; tests bring their own."""

    def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer: ...
    def mail(self, to: Sequence[str], subject: str, text: str, message_id: str) -> Answer: ...
    def chat(self, url: str, title: str, text: str) -> Answer: ...


class Network:
    """The real ones. One object serves several threads."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """POST a JSON body. Redirects are not followed: where one leads was never allowed."""
        fault = egress.fault(url, settings.SAYSO_EGRESS_ALLOW)
        if fault:
            return Answer(False, said=fault)
        sent = {"Content-Type": "application/json", "User-Agent": "Sayso-Webhooks/1", **headers}
        until = time.monotonic() + TIMEOUT
        try:
            with self._client.stream("POST", url, content=body.encode(), headers=sent) as response:
                said = _beginning(response, until)
        except httpx.TimeoutException:
            return Answer(False, said=f"No answer within {TIMEOUT:.0f} seconds.")
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text may hold the address, which may hold a token
            return Answer(False, said=f"It could not be reached ({type(error).__name__}).")
        if response.is_redirect:
            said = "It redirects elsewhere, which is not followed: change the address."
        return Answer(response.is_success, response.status_code, said, _after(response))

    def mail(self, to: Sequence[str], subject: str, text: str, message_id: str) -> Answer:
        """Hand a mail to the mail server of the installation."""
        headers = {"Message-ID": f"<{message_id}@sayso>", "Auto-Submitted": "auto-generated"}
        try:
            link = get_connection(timeout=TIMEOUT)
            taken = EmailMessage(subject, text, to=list(to), headers=headers, connection=link).send()
        except smtplib.SMTPResponseException as error:
            return Answer(False, said=f"The mail server refused it ({error.smtp_code}).")
        except smtplib.SMTPRecipientsRefused:
            return Answer(False, said="The mail server refused every recipient.")
        except (smtplib.SMTPException, OSError) as error:
            return Answer(False, said=f"The mail server could not be used ({type(error).__name__}).")
        return Answer(bool(taken), said="The mail server took it." if taken else "The mail server took nothing.")

    def chat(self, url: str, title: str, text: str) -> Answer:
        """Hand a message to a chat service."""
        return chat.send(url, title, text, settings.SAYSO_EGRESS_ALLOW)

    def close(self) -> None:
        """Close what is kept open."""
        self._client.close()


def _beginning(response: httpx.Response, until: float) -> str:
    """The beginning of an answer. A timeout of the client's is for each read: ``until`` is for all of them."""
    found = bytearray()
    for chunk in response.iter_raw(READ):
        found += chunk
        if len(found) >= READ or time.monotonic() > until:
            break
    text = bytes(found[:READ]).decode("utf-8", "replace")
    return text.replace("\x00", "\ufffd")[:EXCERPT]


def _after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0.0
