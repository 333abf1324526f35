"""What a notice can tell of."""

from __future__ import annotations

CREATED = "request.created"
REMINDED = "request.reminded"
ESCALATED = "request.escalated"
DECIDED = "request.decided"
EXPIRED = "request.expired"
ENDED = "run.ended"
MENTIONED = "request.mentioned"  # to the people it names alone: no channel chooses it
ALERT_RAISED = "alert.raised"  # of a figure; with facts["more"], so many of them in one line
ALERT_REMINDED = "alert.reminded"
ALERT_RECOVERED = "alert.recovered"
TEST = "test"  # sent on an admin's word, whatever a channel has chosen

EVENTS: dict[str, str] = {
    CREATED: "a request waits for a person",
    REMINDED: "a request is reminded of",
    ESCALATED: "a request is escalated",
    DECIDED: "a request is decided",
    EXPIRED: "a request expires",
    ENDED: "a run ends",
    ALERT_RAISED: "an alert begins",
    ALERT_REMINDED: "an alert goes on for long",
    ALERT_RECOVERED: "an alert is over",
}
URGENT = (REMINDED, ESCALATED)
ALERTS = (ALERT_RAISED, ALERT_REMINDED, ALERT_RECOVERED)
WAITING = (CREATED, *URGENT)  # said of what waits for a decision, and of nothing else


def who_hear(severity: str) -> list[str]:
    """Of the people who hear of alerts, what those have asked for who are told of one of this severity; see models.Wants."""
    return ["all", "urgent"] if severity == "high" else ["all"]
