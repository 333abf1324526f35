"""The demo's history: weeks of runs for every chart on the first start, labelled as demo.

`up` has them made in a copy of its database (making.py) and then read from there, put in the past (past.py) and written here,
all in one transaction: they are there, in their places and ended, or not at all. The record of each tenant says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.apps import apps
from django.db import connection
from django.db.models import AutoField, Max
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from console.audit import log as audit
from console.audit.models import AuditRecord
from console.demo import past
from console.demo.past import Pause, Placing, Row, Rows
from console.demo.seed import HOUSES
from console.demo.story import DAYS
from console.durable.run import GATES
from console.runs import feed
from console.tenants import access, crypto
from console.tenants.models import Tenant, User
from console.tenants.roles import SYSTEM
from console.tenants.scopes import system_scope
from console.workflows.models import Revision, Workflow

ACTION = "demo.history"  # in the record of each tenant that has one
LONG_AGO = timedelta(days=DAYS + 3)  # before now: when the tenants that the history brings were made
AT_ONCE = 40  # runs that are read together

# What there is of a run, and how it is found: r are the runs' ids.
OF_RUN = {
    "runs_step": "run_id = ANY(%(r)s)",
    "runs_steppayload": "run_id = ANY(%(r)s)",
    "runs_feedtopic": "name = ANY(%(topics)s)",
    "runs_feedevent": "topic = ANY(%(topics)s)",
    "approvals_approvalrequest": "run_id = ANY(%(r)s)",
    "approvals_vote": "request_id IN (SELECT id FROM approvals_approvalrequest WHERE run_id = ANY(%(r)s))",
    "approvals_sighting": "request_id IN (SELECT id FROM approvals_approvalrequest WHERE run_id = ANY(%(r)s))",
    "audit_auditrecord": "tenant_id = ANY(%(tenants)s) AND object_id IN (SELECT id::text FROM approvals_approvalrequest"
    " WHERE run_id = ANY(%(r)s) UNION ALL SELECT id::text FROM unnest(%(r)s) AS r(id))",
}
# What a tenant is made of, where the history brings it.
OF_TENANT = (
    "tenants_datakey", "tenants_membership", "tenants_group", "tenants_groupmember", "tenants_credential",
    "tenants_apitoken", "workflows_workflow", "workflows_revision", "workflows_waiver", "workflows_behaviourcontract",
    "workflows_promotion", "workflows_smokesuite", "approvals_ruleset",
)  # fmt: skip
_STAMPED = {"changed"}  # written by the database itself, when a row is


def made() -> bool:
    """Whether the history is there. Call outside any scope."""
    with system_scope("the demo's history"):
        return AuditRecord.objects.filter(action=ACTION, object_type="tenant").exists()


def has_demo_history(tenant: Tenant) -> bool:
    """Whether some of what the tenant's charts show is the demo's history. Call inside the tenant's scope."""
    if not tenant.is_demo:
        return False
    told = AuditRecord.objects.filter(
        tenant_id=tenant.pk, object_type="tenant", object_id=str(tenant.pk), action=ACTION
    )
    return told.exists()


def place(plan: Mapping[str, Any], url: str) -> int:
    """Write the runs of ``plan``, read from the database at ``url``, in their places; returns how many: none where the
    history is there already. All of it or nothing. Call outside any scope.
    """
    with psycopg.connect(url, row_factory=dict_row) as source, system_scope("placing the demo's history"):
        source.execute("SELECT set_config('role', %s, true)", [SYSTEM])
        first = Tenant.objects.select_for_update().filter(slug=HOUSES[0].slug, is_demo=True).first()
        if first is None or AuditRecord.objects.filter(action=ACTION, object_type="tenant").exists():
            return 0
        return _Placer(plan, source).place()


class _Placer:
    """Reads there, writes here. Everything in the caller's two transactions."""

    def __init__(self, plan: Mapping[str, Any], source: psycopg.Connection[Row]) -> None:
        self.plan, self.source = plan, source
        self.now = datetime.fromisoformat(plan["now"])
        self.placings = _placings(plan["runs"])
        self.due = {request: span for one in plan["runs"] for request, span in one["due"].items()}
        self.tenants = self._tenants()
        self.contracts = {row.pk: (row.contract, row.current_id) for row in Workflow.objects.all()}

    def place(self) -> int:
        """All of it; how many runs."""
        for row in self._brought():
            self._bring(row)
        self._revise()
        wanted = [UUID(one["run"]) for one in self.plan["runs"] if UUID(one["tenant"]) in self.tenants]
        counts: dict[UUID, int] = {}
        for start in range(0, len(wanted), AT_ONCE):
            for rows in self._runs(wanted[start : start + AT_ONCE]):
                self._write(rows)
                counts[rows.run["tenant_id"]] = counts.get(rows.run["tenant_id"], 0) + 1
        for tenant in Tenant.objects.filter(pk__in=list(counts)):
            actor = access.system_actor(tenant, "The demo")
            audit.record(actor, ACTION, "tenant", tenant.pk, runs=counts[tenant.pk], demo=past.MARK)
        return sum(counts.values())

    # Tenants and revisions

    def _tenants(self) -> set[UUID]:
        """Those whose runs can be placed: demo tenants that are here, and those that can be brought."""
        here = set(Tenant.objects.filter(is_demo=True).values_list("pk", flat=True))
        return here | {row["id"] for row in self._brought()}

    def _brought(self) -> list[Row]:
        """Tenants that are there and not here, and whose name and people nobody has taken."""
        rows = self._read("SELECT * FROM tenants_tenant WHERE slug = ANY(%(slugs)s)", slugs=list(self.plan["houses"]))
        taken = set(Tenant.objects.values_list("slug", flat=True))
        names = set(User.objects.values_list("username", flat=True))
        return [
            row
            for row in rows
            if row["slug"] not in taken and not names & {one["username"] for one in self._users(row)}
        ]

    def _users(self, tenant: Row) -> list[Row]:
        sql = "SELECT u.* FROM tenants_user u JOIN tenants_membership m ON m.user_id = u.id WHERE m.tenant_id = %(tenant)s"
        return self._read(sql, tenant=tenant["id"])

    def _bring(self, tenant: Row) -> None:
        """A tenant with all that it is made of, as if it had been there for as long as its runs."""
        self._insert("tenants_tenant", [self._long_ago(tenant)])
        self._insert("tenants_user", self._users(tenant))
        for table in OF_TENANT:
            rows = self._read(f"SELECT * FROM {table} WHERE tenant_id = %(tenant)s", tenant=tenant["id"])  # noqa: S608
            self._insert(table, [self._dated(table, row) for row in rows])
        sql = "SELECT * FROM audit_auditrecord WHERE tenant_id = %(tenant)s AND object_type NOT IN ('run', 'request')"
        rows = self._read(f"{sql} ORDER BY id", tenant=tenant["id"])
        self._insert("audit_auditrecord", [{**row, "detail": {**row["detail"], "demo": past.MARK}} for row in rows])

    def _long_ago(self, row: Row) -> Row:
        placing = Placing(self.now, self.now - LONG_AGO)
        return {key: placing.moved(value) if isinstance(value, datetime) else value for key, value in row.items()}

    def _dated(self, table: str, row: Row) -> Row:
        """The row long ago, or at the moment that the story gives it."""
        known = self.plan["moments"].get(f"{table.partition('_')[2]}:{row.get('id')}")
        found = self._long_ago(row)
        if known:
            found["at" if "at" in row else "created_at"] = datetime.fromisoformat(known)
        return found

    def _revise(self) -> None:
        """The revisions that tenants of the demo had for a while, and when they took them. Their current one stays."""
        brought = [row["id"] for row in self._read(
            "SELECT id FROM tenants_tenant WHERE slug = ANY(%(slugs)s)", slugs=list(self.plan["houses"]))]  # fmt: skip
        ids = [UUID(key.partition(":")[2]) for key in self.plan["moments"] if key.startswith("revision:")]
        sql = "SELECT * FROM workflows_revision WHERE id = ANY(%(ids)s) AND NOT tenant_id = ANY(%(brought)s) ORDER BY number"
        for row in self._read(sql, ids=ids, brought=brought):
            last = Revision.objects.filter(workflow=row["workflow_id"]).aggregate(last=Max("number"))["last"] or 0
            self._insert("workflows_revision", [{**self._dated("workflows_revision", row), "number": last + 1}])
        numbers = [int(key.partition(":")[2]) for key in self.plan["moments"] if key.startswith("promotion:")]
        sql = (
            "SELECT * FROM workflows_promotion WHERE id = ANY(%(ids)s) AND NOT tenant_id = ANY(%(brought)s) ORDER BY id"
        )
        rows = self._read(sql, ids=numbers, brought=brought)
        self._insert("workflows_promotion", [self._dated("workflows_promotion", row) for row in rows])

    # Runs

    def _runs(self, ids: Sequence[UUID]) -> Iterator[Rows]:
        """Runs that have ended, with all there is of them, in their places."""
        runs = self._read("SELECT * FROM runs_run WHERE id = ANY(%(r)s) AND ended_at IS NOT NULL", r=list(ids))
        topics = {feed.run_topic(row["id"]): row["id"] for row in runs}
        values = {"r": list(ids), "topics": list(topics), "tenants": list({row["tenant_id"] for row in runs})}
        found: dict[UUID, dict[str, list[Row]]] = {row["id"]: {} for row in runs}
        asked: dict[str, UUID] = {str(row["id"]): row["id"] for row in runs}
        for table, where in OF_RUN.items():
            for row in self._read(f"SELECT * FROM {table} WHERE {where}", **values):  # noqa: S608  # our own texts
                if table == "approvals_approvalrequest":
                    asked[str(row["id"])] = row["run_id"]
                key = row.get("run_id") or topics.get(row.get("topic") or row.get("name") or "")
                key = key or asked.get(str(row.get("request_id") or row.get("object_id")))
                if key in found:
                    found[key].setdefault(table, []).append(row)
        for run in runs:
            placed = past.place(Rows(run, found[run["id"]]), self.placings[run["id"]], self.due)
            yield replace(placed, run=self._governed(placed.run))

    def _governed(self, run: Row) -> Row:
        """With the contract of behaviour that is kept here, where there is one for its revision."""
        contract, current = self.contracts.get(run["workflow_id"], (run["contract"], run["revision_id"]))
        return {**run, "contract": min(run["contract"], contract) if run["revision_id"] == current else 0}

    def _write(self, rows: Rows) -> None:
        placing = self.placings[rows.run["id"]]
        self._insert("runs_run", [rows.run])
        gates = {row["seq"] for row in rows.others.get("runs_step", ()) if row["kind"] in GATES}
        for table, found in rows.others.items():
            if table == "runs_feedevent":
                # An event of a step is kept as its number alone: what it says moves with the step.
                found = [self._resealed(row, "sealed", "feed", placing) if row["sealed"] else row for row in found]
            elif table == "runs_steppayload":
                found = [self._resealed(r, "result", "step.result", placing) if r["seq"] in gates else r for r in found]
            self._insert(table, found)

    @staticmethod
    def _resealed(row: Row, column: str, field: str, placing: Placing) -> Row:
        """What is sealed speaks of the same moments."""
        if row[column] is None:
            return row
        tenant = row["tenant_id"]
        said = json.loads(crypto.unseal(tenant, field, row[column]).decode("utf-8", "surrogatepass"))
        text = json.dumps(past.moved(said, placing), separators=(",", ":"), ensure_ascii=False)
        return {**row, column: crypto.seal(tenant, field, text.encode("utf-8", "surrogatepass"))}

    # Both ends

    def _read(self, sql: str, **values: Any) -> list[Row]:
        return self.source.execute(sql, values).fetchall()  # type: ignore[arg-type]

    @staticmethod
    def _insert(table: str, rows: Iterable[Row]) -> None:
        rows = list(rows)
        if not rows:
            return
        model = next(one for one in apps.get_models() if one._meta.db_table == table)
        fields = [one for one in model._meta.local_concrete_fields if not one.generated and one.column in rows[0]]
        fields = [one for one in fields if not isinstance(one, AutoField) and one.column not in _STAMPED]
        columns = [one.column for one in fields]
        json_columns = {one.column for one in fields if one.get_internal_type() == "JSONField"}
        marks = ", ".join(["%s"] * len(columns))
        names = ", ".join(f'"{column}"' for column in columns)
        values = [
            [Jsonb(row[name]) if name in json_columns and row[name] is not None else row[name] for name in columns]
            for row in rows
        ]
        with connection.cursor() as cursor:
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', values)  # noqa: S608  # our models'


def _placings(planned: Iterable[Mapping[str, Any]]) -> dict[UUID, Placing]:
    """Of each run; what it was made of is placed first."""
    found: dict[UUID, Placing] = {}
    for one in planned:
        pauses = tuple(Pause(datetime.fromisoformat(at), float(seconds)) for at, seconds in one["pauses"])
        before = found[UUID(one["before"])] if one["before"] else None
        begun, start = datetime.fromisoformat(one["begun"]), datetime.fromisoformat(one["start"])
        found[UUID(one["run"])] = Placing(begun, start, pauses, before)
    return found
