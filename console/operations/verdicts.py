"""Each figure as a state in words, with the reason, and what helps where it is not well.

``well``, ``look`` (somebody should, soon) or ``trouble`` (now). Whoever looks is in the middle of an incident: the worst
comes first, and a remedy names what to do rather than what is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import redis

from console import queues
from console.doctoring.work import UNSWEPT
from console.operations.figures import Figures, Queue
from console.operations.heartbeats import Heard, Worker
from console.runs import feed
from console.sweeper import SWEPT
from console.templatetags.sayso import duration

WELL, LOOK, TROUBLE = "well", "look", "trouble"
_ORDER = {TROUBLE: 0, LOOK: 1, WELL: 2}
TONES = {WELL: "good", LOOK: "wait", TROUBLE: "harm"}
SLOW_STORE = 0.25  # seconds that an answer of a store may take
WAITED, WAITED_LONG = 30.0, 300.0  # seconds that a ready run may wait for a worker
SILENT = 5.0  # seconds without a heartbeat, of which there are four in ten
OUTBOX_LATE = 60.0  # seconds that something due may wait to be sent
BUSY = 0.9  # of a worker's slots


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure. ``remedy`` is empty where it is well."""

    name: str
    state: str
    says: str
    remedy: str = ""

    @property
    def tone(self) -> str:
        """The colour of its state."""
        return TONES[self.state]


def judge(figures: Figures, heard: Heard, swept: float | None) -> list[Verdict]:
    """All of them, the worst first. ``swept``: seconds since the last sweep; None where nobody knows of one."""
    found = [
        workers(figures, heard), queued(figures.queues, heard), flying(figures), leases(figures),
        sweeper(heard, swept), postgres(figures.took), valkey(heard), outbox(figures), sockets(heard),
    ]  # fmt: skip
    return sorted(found, key=lambda each: _ORDER[each.state])


def overall(found: list[Verdict]) -> tuple[str, str]:
    """The state of the worst, and a sentence for the head of the page."""
    bad = [each.name for each in found if each.state == TROUBLE]
    odd = [each.name for each in found if each.state == LOOK]
    if bad:
        return TROUBLE, f"trouble: {', '.join(bad)}"
    if odd:
        return LOOK, f"look at {', '.join(odd)}"
    return WELL, "all is well"


def swept_ago(heard: Heard) -> float | None:
    """Seconds since somebody last swept; None where nobody has, or it cannot be asked."""
    if not heard.there:
        return None
    try:
        told = feed.redis_client().get(SWEPT)
        return max(time.time() - float(told), 0.0) if told else None  # type: ignore[arg-type]  # bytes of a number
    except (redis.RedisError, OSError, ValueError):
        return None


def workers(figures: Figures, heard: Heard) -> Verdict:
    """Whether somebody works, and has room."""
    if not heard.there:
        held = len(figures.owners)
        return Verdict(
            "workers", LOOK, f"heartbeats cannot be read; {held} worker{_s(held)} hold runs now",
            "Start Valkey; what workers hold goes on meanwhile.",
        )  # fmt: skip
    alive = {each.name for each in heard.workers}
    gone = sorted(set(figures.owners) - alive - {""})
    if not alive:
        return Verdict(
            "workers", TROUBLE, "no worker is heard of: nothing moves",
            "Start one: celery -A console.celery worker -P threads -Q runs.",
        )  # fmt: skip
    if gone:
        return Verdict(
            "workers", TROUBLE, f"{', '.join(gone[:3])}{' and others' if len(gone) > 3 else ''} hold runs and are silent",
            "See the log of that worker. Others take its runs over when its leases have run out, within seconds.",
        )  # fmt: skip
    silent = [each.name for each in heard.workers if each.age > SILENT]
    slots, used = sum(each.slots for each in heard.workers), sum(each.used for each in heard.workers)
    said = f"{len(alive)} alive, {used:,} of {slots:,} slots used"
    if silent:
        return Verdict(
            "workers", LOOK, f"{said}; {', '.join(silent[:3])} was last heard of more than {SILENT:.0f} s ago",
            "See its log: its process is stalled, or its machine is overloaded.",
        )  # fmt: skip
    if slots and used > BUSY * slots:
        return Verdict("workers", LOOK, f"{said}: nearly full", "Start more workers, or raise SAYSO_SLOTS.")
    return Verdict("workers", WELL, said)


def queued(ready: tuple[Queue, ...], heard: Heard) -> Verdict:
    """Whether ready runs are taken up."""
    if not ready:
        return Verdict("queues", WELL, "no run waits for a worker")
    worst = max(ready, key=lambda each: each.oldest or 0.0)
    oldest = worst.oldest or 0.0
    said = f"{sum(each.ready for each in ready):,} ready, the oldest for {duration(oldest)} in {worst.name}"
    listened = {name for each in heard.workers for name in each.queues}
    deaf = sorted({each.name for each in ready} - listened)
    if heard.there and heard.workers and listened and deaf:
        return Verdict(
            "queues", TROUBLE, f"{said}; no worker listens to {', '.join(deaf[:3])}",
            f"Start a worker for it: celery -A console.celery worker -P threads -Q {','.join(deaf)}.",
        )  # fmt: skip
    if oldest > WAITED_LONG:
        return Verdict("queues", TROUBLE, said, f"Start more workers for {worst.name or queues.DEFAULT}.")
    if oldest > WAITED:
        return Verdict("queues", LOOK, said, "See whether workers have free slots, and whether the sweeper sweeps.")
    return Verdict("queues", WELL, said)


def flying(figures: Figures) -> Verdict:
    """Runs, and those that nothing will move."""
    counts = figures.counts
    said = f"{counts['running']:,} in flight, {counts['waiting']:,} wait for a person"
    if figures.longest_s is not None:
        said += f", the longest turn for {duration(figures.longest_s)}"
    if counts["aimless"]:
        many = counts["aimless"]
        return Verdict(
            "runs", TROUBLE, f"{said}; {many:,} wait{_s(many, verb=True)}, and neither a request nor a time will wake"
            f" {'it' if many == 1 else 'them'}",
            "`manage.py verify_runs` names which; cancel it, or retry it after that.",
        )  # fmt: skip
    if counts["newer"]:
        return Verdict(
            "runs", LOOK, f"{said}; {counts['newer']:,} were recorded by a newer version",
            "Start workers of that version again.",
        )  # fmt: skip
    return Verdict("runs", WELL, said)


def leases(figures: Figures) -> Verdict:
    """Whether those who hold runs still renew that."""
    late, expired = figures.counts["late"], figures.counts["expired"]
    if expired:
        return Verdict(
            "leases", TROUBLE, f"{expired:,} ran out, {late:,} are about to",
            "Their worker is gone or stalled. The sweeper gives the runs to another within seconds; if this stays, see"
            " the sweeper.",
        )  # fmt: skip
    if late:
        return Verdict(
            "leases", LOOK, f"{late:,} of {figures.counts['running']:,} were not renewed for more than 4 s",
            "See the log of the worker that holds them: its machine is overloaded, or the database is slow.",
        )  # fmt: skip
    return Verdict("leases", WELL, "all are renewed" if figures.counts["running"] else "none is held")


def sweeper(heard: Heard, swept: float | None) -> Verdict:
    """Whether what time does is done."""
    remedy = "Start one `celery -A console.celery beat` and a worker of the queue runs."
    if not heard.there:
        return Verdict("sweeper", TROUBLE, "it does not sweep while Valkey is away", "Start Valkey.")
    if swept is None:
        return Verdict("sweeper", TROUBLE, "nothing has been swept lately", remedy)
    if swept > UNSWEPT:
        return Verdict("sweeper", TROUBLE, f"nothing has been swept for {duration(round(swept))}", remedy)
    if swept > UNSWEPT / 3:
        return Verdict("sweeper", LOOK, f"swept {swept:.0f} s ago; it is due each second", remedy)
    return Verdict("sweeper", WELL, f"swept {swept:.0f} s ago")


def postgres(took: float) -> Verdict:
    """How soon the database answers; where it does not, there is no page at all."""
    if took > SLOW_STORE:
        return Verdict(
            "Postgres", LOOK, f"answers in {duration(took)}", "See its load, its disk, and what holds locks there."
        )
    return Verdict("Postgres", WELL, f"answers in {took * 1000:.1f} ms")


def valkey(heard: Heard) -> Verdict:
    """How soon the broker answers."""
    if not heard.there:
        return Verdict(
            "Valkey", TROUBLE, "does not answer: no live updates, and workers get no new work",
            "Start Valkey, and see that REDIS_URL leads to it. Nothing is lost: the truth is in Postgres.",
        )  # fmt: skip
    if heard.took > SLOW_STORE:
        return Verdict("Valkey", LOOK, f"answers in {duration(heard.took)}", "See the load of its machine.")
    return Verdict("Valkey", WELL, f"answers in {heard.took * 1000:.1f} ms")


def outbox(figures: Figures) -> Verdict:
    """Whether people and programs outside are told."""
    said: Mapping[str, int] = figures.outbox
    waiting = said["pending"] + said["unspread"]
    words = f"{waiting:,} to be sent, {said['failed']:,} to be tried again"
    if said["dead"]:
        many = said["dead"]
        return Verdict(
            "notices", LOOK, f"{words}; {many:,} {'was' if many == 1 else 'were'} given up in 24 hours",
            "See the log of each channel under Channels, and send again what matters.",
        )  # fmt: skip
    if (figures.outbox_oldest_s or 0.0) > OUTBOX_LATE:
        return Verdict(
            "notices", LOOK, f"{words}; the oldest has been due for {duration(figures.outbox_oldest_s)}",
            "See that a worker and beat run; a channel that hangs holds up its own lane only.",
        )  # fmt: skip
    return Verdict("notices", WELL, words if waiting or said["failed"] else "nothing waits to be sent")


def sockets(heard: Heard) -> Verdict:
    """Who listens."""
    if not heard.there:
        return Verdict("live pages", LOOK, "nobody knows how many listen, and nothing is told them", "Start Valkey.")
    said = f"{heard.sockets:,} listen{_s(heard.sockets, verb=True)} to {heard.webs} web process{'' if heard.webs == 1 else 'es'}"
    if heard.lagging > max(5, heard.sockets // 10):
        return Verdict(
            "live pages", LOOK, f"{said}; {heard.lagging:,} read more slowly than they are told",
            "They catch up by themselves; where it stays, see the network, and start another web process.",
        )  # fmt: skip
    return Verdict("live pages", WELL, said if heard.webs else "nobody listens")


def crew(figures: Figures, heard: Heard) -> list[tuple[Worker, int, str]]:
    """Each worker that is heard of, or holds runs: how many of those that are shown here it holds, and its state."""
    known = {each.name for each in heard.workers}
    silent = [Worker(name, 0.0, silent=True) for name in sorted(set(figures.owners) - known - {""})]
    rows = []
    for each in (*heard.workers, *silent):
        lost = each.silent and heard.there
        slow = each.age > SILENT or each.leaving or (each.slots and each.used > BUSY * each.slots)
        rows.append((each, figures.owners.get(each.name, 0), TROUBLE if lost else LOOK if slow else WELL))
    return sorted(rows, key=lambda row: (_ORDER[row[2]], row[0].name))


def _s(many: int, verb: bool = False) -> str:
    return ("s" if many == 1 else "") if verb else ("" if many == 1 else "s")
