"""Secrets and signatures of webhooks, by the rules of Standard Webhooks (standardwebhooks.com)."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from standardwebhooks import Webhook

OVERLAP = timedelta(hours=24)  # for which the secret before still signs, so that receivers can change over
_BYTES = 32  # the specification asks for 24 to 64


def make_secret() -> str:
    """A new secret."""
    return "whsec_" + base64.b64encode(os.urandom(_BYTES)).decode()


def headers(message_id: str, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers: one signature for each secret. ``at`` (UTC) is when it is sent, not when it happened: a
    receiver refuses what is older than five minutes."""
    signed = [Webhook(secret).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signed),
    }
