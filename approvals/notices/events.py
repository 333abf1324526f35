"""What a notice can tell of."""

from __future__ import annotations

CREATED = "request.created"
REMINDED = "request.reminded"
ESCALATED = "request.escalated"
DECIDED = "request.decided"
EXPIRED = "request.expired"
ENDED = "run.ended"
MENTIONED = "request.mentioned"  # to the people it names alone: no channel chooses it
TEST = "test"  # sent on an admin's word, whatever a channel has chosen

EVENTS: dict[str, str] = {
    CREATED: "a request waits for a person",
    REMINDED: "a request is reminded of",
    ESCALATED: "a request is escalated",
    DECIDED: "a request is decided",
    EXPIRED: "a request expires",
    ENDED: "a run ends",
}
URGENT = (REMINDED, ESCALATED)
WAITING = (CREATED, *URGENT)  # said of what waits for a decision, and of nothing else
