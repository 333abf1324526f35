"""Keeps what each person's decisions of each day (UTC) come to, and reads a window of them.

The projector marks the days of decisions it reads (``mark``), and makes a marked day anew from the decisions once it is over
(``build``): a day's row never depends on what it was before. Whoever reads (``between``) takes whole days from the rows, and
what is marked, of today or a part of a day from the decisions themselves. Who opened what is in there: see people.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection

from telemetry import deciders
from telemetry.deciders import Decision, Looked
from telemetry.reading import ask

DAY = timedelta(days=1)
LATE = timedelta(hours=1)  # after its end a day is taken to be over: the projector has read it by then
AT_ONCE = 20  # days of a person that are made in one go


def mark(requests: Sequence[str]) -> None:
    """The days on which these were decided are to be made anew. Call in a system scope, as the projector."""
    _write(f"{_MARK} q.id = ANY(%s::uuid[]) AND {_IS} ON CONFLICT {_ANEW}", [list(requests)])


def forget(runs: Sequence[str]) -> None:
    """The same of all the requests of runs that are about to be deleted."""
    _write(f"{_MARK} q.run_id = ANY(%s::uuid[]) AND {_IS} ON CONFLICT {_ANEW}", [list(runs)])


def build(now: datetime) -> bool:
    """Make some of the marked days that are over. Whether there are more. Call in a system scope, as the projector."""
    marked = ask(_MARKED, [(now - LATE).astimezone(UTC).date(), AT_ONCE])
    for tenant, who, day in marked:
        put(tenant, who, day, counted(tenant, who, day))
    return len(marked) == AT_ONCE


def counted(tenant: str, who: str, day: date) -> Looked:
    """What a person's decisions of a day come to, from the decisions."""
    begin = _midnight(day)
    found = _decisions(tenant, [(begin, begin + DAY)], who)
    return found[0][1] if found else Looked()


def put(tenant: str, who: str, day: date, looked: Looked) -> None:
    """Write a day; one without decisions goes."""
    if looked.n:
        _write(_PUT, [tenant, who, day, json.dumps(looked.plain(), separators=(",", ":"))])
    else:
        _write("DELETE FROM telemetry_deciderday WHERE tenant_id = %s AND who = %s AND day = %s", [tenant, who, day])


def every(tenant: str, since: datetime, now: datetime) -> Iterator[tuple[str, date, Looked | None, Looked]]:
    """Each (person, day) of a tenant that is over and not marked, with what is kept and what the decisions give."""
    last = (now - LATE).astimezone(UTC).date()
    kept = {
        (who, day): said
        for who, day, said in ask(
            "SELECT who::text, day, said::text FROM telemetry_deciderday WHERE tenant_id = %s AND day >= %s AND day < %s",
            [tenant, since.date(), last],
        )
    }
    there = {(who, day) for who, day in ask(f"{_THERE} AND {_IS}", [tenant, since, _midnight(last)])}
    for who, day in sorted(kept.keys() | there):
        if (who, day) in kept and kept[who, day] is None:
            continue
        said = kept.get((who, day))
        yield who, day, Looked.read(json.loads(said)) if said else None, counted(tenant, who, day)


def between(tenant: Any, since: datetime, until: datetime) -> dict[str, Looked]:
    """What each person's decisions of a time come to. Call inside the tenant's scope."""
    first = since.astimezone(UTC).date()
    first += DAY if _midnight(first) < since else timedelta()
    last = (until - LATE).astimezone(UTC).date()  # the first day that is not taken from rows
    rows = ask(_KEPT, [tenant, first, last]) if first < last else []
    marked = {day for _, day, said in rows if said is None}
    parts = [
        (who, _midnight(day).timestamp(), Looked.read(json.loads(said))) for who, day, said in rows if day not in marked
    ]
    times = [(_midnight(day), _midnight(day) + DAY) for day in sorted(marked)]
    if first < last:
        times += [(since, _midnight(first)), (_midnight(last), until)]
    else:
        times.append((since, until))
    times = [(begin, end) for begin, end in times if begin < end]
    parts += [(who, looked.row.first, looked) for who, looked in _decisions(tenant, times)] if times else []
    found: dict[str, Looked] = {}
    for who, _, looked in sorted(parts, key=lambda each: each[1]):
        found.setdefault(who, Looked()).add(looked)
    return found


def _decisions(
    tenant: Any, times: Sequence[tuple[datetime, datetime]], who: str | None = None
) -> list[tuple[str, Looked]]:
    """What the decisions of some times come to: of each person, for each of the times."""
    given = [[begin for begin, _ in times], [end for _, end in times], tenant, who, who]
    grouped: dict[tuple[str, int], tuple[str, list[Decision]]] = {}
    for place, person, name, *decision in ask(_DECISIONS, given):
        named, many = grouped.setdefault((person, place), (name, []))
        grouped[person, place] = (max(named, name), many)
        many.append(Decision(*decision))
    return [(person, deciders.of(name, many)) for (person, _), (name, many) in grouped.items()]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _write(sql: str, values: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


# A decision of the figures: by a person, not by a yes in advance, and no probe.
_IS = "q.status = 'decided' AND NOT q.probe AND q.standing_id IS NULL AND q.decided_by_id IS NOT NULL"
_DAY = "(q.decided_at AT TIME ZONE 'UTC')::date"
_MARK = f"""
INSERT INTO telemetry_deciderday (tenant_id, who, day, said)
SELECT DISTINCT q.tenant_id, q.decided_by_id, {_DAY}, NULL::jsonb FROM approvals_approvalrequest q WHERE"""  # noqa: S608
_ANEW = "(tenant_id, who, day) DO UPDATE SET said = NULL WHERE telemetry_deciderday.said IS NOT NULL"
_MARKED = """
SELECT tenant_id::text, who::text, day FROM telemetry_deciderday WHERE said IS NULL AND day < %s
ORDER BY tenant_id, day, who LIMIT %s"""
_PUT = """
INSERT INTO telemetry_deciderday (tenant_id, who, day, said) VALUES (%s, %s, %s, %s::jsonb)
ON CONFLICT (tenant_id, who, day) DO UPDATE SET said = EXCLUDED.said"""
_KEPT = "SELECT who::text, day, said::text FROM telemetry_deciderday WHERE tenant_id = %s AND day >= %s AND day < %s"
_THERE = f"""
SELECT DISTINCT q.decided_by_id::text, {_DAY} FROM approvals_approvalrequest q
WHERE q.tenant_id = %s AND q.decided_at >= %s AND q.decided_at < %s"""  # noqa: S608
_DECISIONS = f"""
SELECT t.place, d.* FROM unnest(%s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS t(begins, ends, place)
CROSS JOIN LATERAL (
    SELECT q.decided_by_id::text, q.decided_by_name, q.id::text, date_part('epoch', q.decided_at) AS at,
        q.verdict = 'approve', q.shown_words,
        CASE WHEN g.opened_at <= q.decided_at THEN date_part('epoch', q.decided_at - g.opened_at) END
    FROM approvals_approvalrequest q
    LEFT JOIN LATERAL (  -- one by one, by their key: of a day these are few, and of a tenant very many
        SELECT s.opened_at FROM approvals_sighting s
        WHERE s.tenant_id = q.tenant_id AND s.request_id = q.id AND s.viewer_id = q.decided_by_id LIMIT 1
    ) g ON true
    WHERE q.tenant_id = %s AND {_IS} AND q.decided_at >= t.begins AND q.decided_at < t.ends
        AND (%s::uuid IS NULL OR q.decided_by_id = %s::uuid)
) AS d ORDER BY d.at, d.id"""  # noqa: S608
