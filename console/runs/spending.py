"""The tenant's budget of a day, held under concurrency: money is put aside before a call, and settled after it.

    put aside --settle--> spent (what it has cost)
        '----charge-----> spent (what was put aside: its worker died, nobody knows better)

``reserve`` is one conditional UPDATE of the day's row: whatever happens at once, spent and reserved never exceed the
limit. Call inside a scope; the day is UTC's, by the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from django.db import connection

from console.runs.models import Reservation

OF_DAY = "a day"  # in the words of a stop that the day's budget is the reason for


def _plain(amount: Decimal) -> str:
    """At least two decimals, and as many as it has."""
    return f"{amount:.2f}" if amount == round(amount, 2) else f"{amount.normalize():f}"


TODAY = "(clock_timestamp() AT TIME ZONE 'UTC')::date"


@dataclass(frozen=True, slots=True)
class Day:
    """What a tenant has spent today, and has put aside, in US dollars."""

    spent: Decimal
    reserved: Decimal

    def refusal(self, cap: Decimal, amount: Decimal) -> str:
        """Why a call that may cost ``amount`` is not made."""
        return (
            f"The organisation may spend {_plain(cap)} US dollars {OF_DAY}: {self.spent:.4f} are spent, {self.reserved:.4f} set"
            f" aside for calls under way, and this call may take {amount:.4f}."
        )


def reserve(
    tenant_id: UUID, run_id: UUID, token: int, cap: Decimal, amount: Decimal, made: UUID | None = None
) -> UUID | Day:
    """Put money aside for one model call: the reservation's id, or the day as it is when there is not enough left.

    ``made`` is that id where the caller chooses it, so that asking again is safe: where it is there already, it is given
    back, or IntegrityError is raised if there would have been room for it once more.
    """
    known, made = made, made or uuid4()
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(_RESERVE, [amount, tenant_id, amount, cap, cap, made, tenant_id, run_id, amount, token])
            if cursor.rowcount:
                return made
            if known is not None and Reservation.objects.filter(pk=known, run=run_id).exists():
                return made
            cursor.execute(_DAY, [tenant_id])
            row = cursor.fetchone()
            if row is not None:
                return Day(*row)
            cursor.execute(_BEGIN, [tenant_id, tenant_id])
    raise RuntimeError("the day's row was made and is not there")


def settle(reservation: UUID, cost: Decimal) -> bool:
    """Turn a reservation into what the call has cost. False: it was charged already, or settled."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [reservation, cost])
        return bool(cursor.rowcount)


def charge(run_id: UUID, token: int) -> Decimal:
    """Charge what earlier workers of a run (their token is below ``token``) left put aside; how much it was."""
    with connection.cursor() as cursor:
        cursor.execute(_CHARGE, [run_id, token, run_id])
        lost: Decimal = cursor.fetchone()[0]
        return lost


def broke_off(run_id: UUID, token: int, amount: Decimal) -> None:
    """Show in a run what calls have cost that its worker broke off and recorded nothing of. The day knows already.

    Not where another worker has the run by now: it charges what was put aside.
    """
    if amount:
        with connection.cursor() as cursor:
            cursor.execute(_BROKE_OFF, [amount, run_id, token])


def today(tenant_id: UUID) -> Day:
    """What a tenant has spent today; from the journal where there is no limit of a day."""
    with connection.cursor() as cursor:
        cursor.execute(_DAY, [tenant_id])
        row = cursor.fetchone()
        if row is None:
            cursor.execute(f"SELECT {_SO_FAR}, 0", [tenant_id])  # noqa: S608  # a literal of this module
            row = cursor.fetchone()
    return Day(Decimal(row[0]), Decimal(row[1]))


_SO_FAR = f"""COALESCE((SELECT SUM(cost) FROM runs_step WHERE tenant_id = %s AND NOT inherited
    AND started_at >= {TODAY}::timestamp AT TIME ZONE 'UTC'), 0)"""  # noqa: S608
_DAY = f"SELECT spent, reserved FROM runs_spendday WHERE tenant_id = %s AND day = {TODAY}"  # noqa: S608
_BEGIN = f"""
    INSERT INTO runs_spendday (tenant_id, day, spent, reserved) VALUES (%s, {TODAY}, {_SO_FAR}, 0)
    ON CONFLICT DO NOTHING
"""  # noqa: S608
_RESERVE = f"""
    WITH aside AS (
        UPDATE runs_spendday SET reserved = reserved + %s
        WHERE tenant_id = %s AND day = {TODAY} AND spent + reserved + %s <= %s AND spent < %s RETURNING day)
    INSERT INTO runs_reservation (id, tenant_id, run_id, day, amount, token, at)
    SELECT %s, %s, %s, day, %s, %s, clock_timestamp() FROM aside
"""  # noqa: S608
_SETTLE = """
    WITH gone AS (DELETE FROM runs_reservation WHERE id = %s RETURNING tenant_id, day, amount)
    UPDATE runs_spendday AS d SET reserved = d.reserved - gone.amount, spent = d.spent + %s
    FROM gone WHERE d.tenant_id = gone.tenant_id AND d.day = gone.day
"""
_BROKE_OFF = (
    "UPDATE runs_run SET broken_off_cost = broken_off_cost + %s WHERE id = %s AND (token = %s OR ended_at IS NOT NULL)"
)
_CHARGE = """
    WITH gone AS (DELETE FROM runs_reservation WHERE run_id = %s AND token < %s RETURNING tenant_id, day, amount),
    days AS (SELECT tenant_id, day, SUM(amount) AS amount FROM gone GROUP BY tenant_id, day),
    charged AS (
        UPDATE runs_spendday AS d SET reserved = d.reserved - days.amount, spent = d.spent + days.amount
        FROM days WHERE d.tenant_id = days.tenant_id AND d.day = days.day RETURNING days.amount),
    told AS (
        UPDATE runs_run SET broken_off_cost = broken_off_cost + (SELECT SUM(amount) FROM charged)
        WHERE id = %s AND EXISTS (SELECT 1 FROM charged))
    SELECT COALESCE((SELECT SUM(amount) FROM charged), 0)
"""
