"""What the demo's history tells: whose runs began when, what befell them, and how people answered. Pure, given a seed.

Told are 60 days of four tenants. To be found in them, from the dashboards alone:

    northwind   refund-desk: 13 and 12 days ago a revision with two seconds a run; timeouts; rolled back
    northwind   Raj decides most of what he decides without opening it
    fabrikam    20 days ago the provider was down; some of what failed was tried again
    contoso     support-triage: for 6 days a larger model and longer prompts, and what that costs
    contoso     refund-desk: 9 days ago another model stood in for one that failed
    tailspin    support-triage: for 18 days a model of its own that has no price; 5 days ago a budget that was too small
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from console.demo.seed import HOUSES, House, Person
from console.tenants.models import Role

DAYS = 60
REFERENCE = r"\b(?:A|INV|CHG|T)-\d{5}\b"  # in every prompt of a run, and of no other
MARGIN = timedelta(minutes=25)  # nothing begins later than so long before now

OWN_HOUSES = (  # which are in the history alone
    House(
        "contoso",
        "Contoso",
        (
            Person("rosa", "Rosa", "Weber", Role.REVIEWER),
            Person("remy", "Remy", "Laurent", Role.REVIEWER),
            Person("opal", "Opal", "Kim", Role.OPERATOR),
            Person("alma", "Alma", "Reyes", Role.ADMIN),
            Person("anders", "Anders", "Nyberg", Role.ADMIN),
        ),
    ),
    House(
        "tailspin",
        "Tailspin",
        (
            Person("rhea", "Rhea", "Costa", Role.REVIEWER),
            Person("ruben", "Ruben", "Aalto", Role.REVIEWER),
            Person("oskar", "Oskar", "Lind", Role.OPERATOR),
            Person("anouk", "Anouk", "Dubois", Role.ADMIN),
            Person("aldo", "Aldo", "Ferri", Role.ADMIN),
        ),
    ),
)
ALL_HOUSES = (*HOUSES, *OWN_HOUSES)

# Runs a day on a middling weekday, and how they are shared out.
VOLUME: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "northwind": (2.7, {"refund-desk": 0.55, "support-triage": 0.3, "change-advisory": 0.15}),
    "fabrikam": (1.4, {"refund-desk": 0.3, "support-triage": 0.5, "change-advisory": 0.2}),
    "contoso": (1.3, {"refund-desk": 0.35, "support-triage": 0.65}),
    "tailspin": (0.8, {"support-triage": 0.6, "change-advisory": 0.4}),
}
# What happened on a day, so many days ago, is to be seen there: as many runs more.
MORE = {
    ("northwind", 13): 5, ("northwind", 12): 5, ("fabrikam", 21): 3, ("fabrikam", 20): 5, ("contoso", 9): 3,
    ("tailspin", 5): 2, ("tailspin", 4): 2,
}  # fmt: skip
WEEK = (1.25, 1.15, 1.05, 1.0, 0.85, 0.3, 0.2)  # Monday first
HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 20, 17, 13, 16, 18, 16, 13, 9, 6, 5, 4, 3, 2, 1)

_COMPLAINTS = (
    "it arrived broken",
    "wrong colour",
    "it never arrived",
    "too small",
    "it does not charge",
    "a part is missing",
)
_TICKETS = (
    "I was charged twice on invoice {ref}",
    "Invoice {ref} shows the wrong price, please correct the charge",
    "The app crashes when I export a report (ticket {ref})",
    "Log in fails after I changed my password (ticket {ref})",
    "Sync stops with a timeout since yesterday (ticket {ref})",
    "Please delete my personal data, our case is {ref}",
    "Send me an export of my data under the GDPR, case {ref}",
)
_SERVICES = ("checkout-api", "ledger-db", "search-index", "mail-relay", "stock-sync")


@dataclass(frozen=True)
class Case:
    """A run of the story. ``fault``: down, refused, busy (``fault_times`` calls of it), at calls with the words
    ``fault_at`` or of ``fault_model``; ``pace`` stretches each call. ``people``: what they do otherwise than usual: silent,
    late, escalate, stubborn, cancel, terminate, reject. ``again``: retry, fork, so long after its end."""

    tenant: str
    workflow: str
    at: datetime
    reference: str
    text: str
    revision: str = ""
    fault: str = ""
    fault_at: str = ""
    fault_model: str = ""
    fault_times: int = 0
    pace: float = 1.0
    people: str = ""
    again: str = ""


@dataclass(frozen=True)
class Era:
    """A revision that new runs took from ``since`` until ``until`` (None: still). ``number`` orders those of a workflow."""

    tenant: str
    workflow: str
    revision: str
    since: datetime
    until: datetime | None
    reason: str
    back: str = ""  # why it was rolled back


@dataclass(frozen=True)
class Story:
    """All of it, in the order in which it is made."""

    cases: tuple[Case, ...]
    eras: tuple[Era, ...]


@dataclass
class _Telling:
    chance: random.Random
    now: datetime
    number: int = 20000
    eras: list[Era] = field(default_factory=list)

    def reference(self, letters: str) -> str:
        self.number += self.chance.randint(1, 9)
        return f"{letters}-{self.number}"

    def days_ago(self, days: int, hour: int = 0) -> datetime:
        day = (self.now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
        return day + timedelta(hours=hour)


def tell(seed: int, now: datetime, days: int = DAYS, scale: float = 1.0) -> Story:
    """The story that ends at ``now`` (aware, UTC). ``scale`` shrinks it, for tests."""
    telling = _Telling(random.Random(seed), now)  # noqa: S311 - a story, no secret
    telling.eras = list(_eras(telling))
    cases = [case for tenant in VOLUME for case in _of_tenant(telling, tenant, days, scale)]
    order = {(era.tenant, era.workflow, era.revision): place for place, era in enumerate(telling.eras, 1)}
    cases.sort(key=lambda case: (order.get((case.tenant, case.workflow, case.revision), 0), case.at))
    return Story(tuple(cases), tuple(telling.eras))


def _eras(telling: _Telling) -> Iterator[Era]:
    yield Era(
        "northwind", "refund-desk", "hasty", telling.days_ago(13, 7), telling.days_ago(11, 7),
        "Customers wait too long: a run gets two seconds.", "Most runs end as timeout: two seconds are too few.",
    )  # fmt: skip
    yield Era(
        "contoso", "refund-desk", "prepared", telling.days_ago(25, 9), None, "Another model stands in when one fails."
    )
    yield Era(
        "contoso", "support-triage", "thorough", telling.days_ago(6, 8), None,
        "A larger model, and the whole handbook in each prompt.",
    )  # fmt: skip
    yield Era("tailspin", "support-triage", "house", telling.days_ago(18, 9), None, "A model of our own.")
    yield Era(
        "tailspin", "change-advisory", "frugal", telling.days_ago(5, 0), telling.days_ago(3, 0),
        "Save tokens: 700 a run.", "Runs stop as budget before the record is written.",
    )  # fmt: skip


def _of_tenant(telling: _Telling, tenant: str, days: int, scale: float) -> Iterator[Case]:
    volume, shares = VOLUME[tenant]
    for ago in range(days, -1, -1):
        midnight = telling.days_ago(ago)
        busy = volume * scale * WEEK[midnight.weekday()] * (0.8 + 0.4 * (days - ago) / days)
        count = int(busy) + (telling.chance.random() < busy % 1)
        if ago <= 8:
            count = max(count, round(2 * min(scale, 1)))  # the last week has something on each day
        count += round(MORE.get((tenant, ago), 0) * scale)
        for _ in range(count):
            at = midnight + timedelta(hours=_hour(telling.chance), seconds=telling.chance.uniform(0, 3600))
            if at <= telling.now - MARGIN:
                workflow = telling.chance.choices(list(shares), list(shares.values()))[0]
                yield _befallen(telling, _case(telling, tenant, _often(tenant, ago, workflow), at), ago)


def _hour(chance: random.Random) -> int:
    return chance.choices(range(24), HOURS)[0]


def _often(tenant: str, ago: int, workflow: str) -> str:
    """What a day is about is what most of its runs are of."""
    if tenant == "northwind" and ago in (12, 13):
        return "refund-desk"
    return "change-advisory" if tenant == "tailspin" and ago in (4, 5) else workflow


def _case(telling: _Telling, tenant: str, workflow: str, at: datetime) -> Case:
    chance = telling.chance
    if workflow == "refund-desk":
        ref = telling.reference("A")
        amount = round(chance.lognormvariate(4.6, 0.9), 2)
        amount = round(chance.uniform(1001, 3200), 2) if chance.random() < 0.14 else min(amount, 990.0)
        text = f"Refund order {ref}, {amount:,.2f} EUR, {chance.choice(_COMPLAINTS)}"
    elif workflow == "change-advisory":
        ref = telling.reference("CHG")
        port = chance.choice((8443, 5432, 9090, 6379, 8080))
        text = f"{ref}: open port {port} for {chance.choice(_SERVICES)} and restart it"
    else:
        words = chance.choice(_TICKETS)
        ref = telling.reference("INV" if "nvoice" in words else "T")
        text = words.format(ref=ref)
    found = [era for era in telling.eras if (era.tenant, era.workflow) == (tenant, workflow) and era.since <= at]
    revision = next((era.revision for era in found if era.until is None or at < era.until), "")
    return Case(tenant, workflow, at, ref, text, revision)


def _befallen(telling: _Telling, case: Case, ago: int) -> Case:
    """The same, with what happens to it."""
    chance = telling.chance
    if case.revision == "hasty":
        return replace(case, pace=chance.uniform(1.4, 3.0))
    if case.tenant == "fabrikam" and ago in (20, 21):
        return replace(case, fault="down", again=chance.choice(("retry", "")))
    if case.tenant == "contoso" and case.revision == "prepared" and ago in (9, 8):
        return replace(case, fault="down", fault_model="gpt-4o-mini")
    roll = chance.random()
    for share, changes in (
        (0.06, {"fault": "busy", "fault_times": chance.randint(1, 3)}),
        (0.04, {"pace": chance.uniform(3, 7)}),
        (0.015, {"fault": "down", "fault_at": "specialist", "again": "retry"}),
        (0.01, {"fault": "refused"}),
        (0.04, {"people": "silent"}),
        (0.05, {"people": "late"}),
        (0.04, {"people": "escalate"}),
        (0.02, {"people": "stubborn"}),
        (0.02, {"people": "cancel", "again": chance.choice(("fork", "", ""))}),
        (0.015, {"people": "terminate"}),
        (0.05, {"people": "reject"}),
    ):
        if roll < share:
            return replace(case, **changes)  # type: ignore[arg-type]
        roll -= share
    return case


def reviewers(house: House) -> Sequence[Person]:
    """Who decides, the careful one first."""
    return [person for person in house.people if person.role == Role.REVIEWER]
