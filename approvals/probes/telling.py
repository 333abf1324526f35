"""What the card says of a probe: while it waits, what an ordinary card says; once it is over, what it was."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from approvals.models import ApprovalRequest, RequestStatus
from approvals.probes.defining import contents
from approvals.probes.judging import CATCHES
from approvals.probes.models import Outcome, Planting, Probe
from console.tenants import crypto

Json = Any


@dataclass(frozen=True, slots=True)
class Guise:
    """Of the run behind a probe that waits, in place of nothing: tokens, US dollars, seconds."""

    tokens: int
    cost: Decimal
    machine_s: float
    model: str
    proposing_tokens: int
    proposing_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Told:
    """A probe that is over: its ``outcome``, in words, why it was bad, and what would have been a catch."""

    outcome: str
    head: str
    says: str
    why: str
    catch: str
    planted_by: str


def guise(row: ApprovalRequest) -> Guise | None:
    """What stands on the card of a probe that waits; None of anything else, and where there was no run to take it from."""
    if not row.probe or row.status != RequestStatus.PENDING:
        return None
    kept = Planting.objects.filter(tenant=row.tenant_id, request=row).values_list("sealed_guise", flat=True).first()
    said = crypto.unseal_json(row.tenant_id, "probe.guise", bytes(kept)) if kept is not None else {}
    if not said:
        return None
    cost = said["proposing_cost"]
    return Guise(
        said["tokens"],
        Decimal(said["cost"]),
        said["machine_s"],
        said["model"],
        said["proposing_tokens"],
        None if cost is None else Decimal(cost),
    )


def told(row: ApprovalRequest) -> Told | None:
    """What is said of it now; None while it waits, and of what was no probe."""
    if not row.probe or row.status == RequestStatus.PENDING:
        return None
    planting = Planting.objects.select_related("probe").get(tenant=row.tenant_id, request=row)
    head, says = _WORDS[planting.outcome]
    return Told(
        outcome=planting.outcome,
        head=head,
        says=says,
        why=contents(planting.probe)["why"],
        catch=catch_words(planting.probe),
        planted_by=planting.planted_by_name,
    )


def catch_words(probe: Probe) -> str:
    """What counts as a catch, for a sentence."""
    words = [_VERBS[each] for each in CATCHES if each in probe.catches]
    if probe.edit_field:
        words.append(f"editing {probe.edit_field}")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


_VERBS = {"reject": "rejecting it", "terminate": "stopping the run", "escalate": "escalating it"}
_WORDS = {
    Outcome.CAUGHT: (
        "This was a probe, and it was caught.",
        "Thank you for looking. No team ran and nothing would have been called: it was planted to see whether requests "
        "like it are noticed.",
    ),
    Outcome.MISSED: (
        "This was a probe, and it went through.",
        "Nothing was called and nobody is harmed: no team ran. This happens to everybody who reads many requests; it "
        "says more about how requests are shown, and how many there are, than about who read this one.",
    ),
    Outcome.EXPIRED: (
        "This was a probe, and nobody answered it in time.",
        "Nothing was called: no team ran. It counts as not answered, and not as approved.",
    ),
    Outcome.WITHDRAWN: (
        "This was a probe, withdrawn before anybody decided it.",
        "Nothing was called: no team ran. It counts for nothing.",
    ),
    Outcome.PLANTED: ("This was a probe.", "Nothing was called: no team ran."),
}
