"""``manage.py apply DIR``: what differs between a folder of files and a tenant is shown, and then changed, at once."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from console.management import choosing
from console.runs import smoke
from console.runs.admission import AtLimit
from console.tenants import access
from console.tenants.models import Tenant
from console.tenants.scopes import tenant_scope
from console.workflows import applying, changes, files
from console.workflows.errors import Invalid

_ABOUT = """\
First every file is read and checked; every fault is told, and where there is one, nothing is changed. Then the
differences are shown, and all of them are made in one transaction. What the folder does not name is left alone; of a
group's file, members are all that are in it from then on, and a file without them leaves its people as they are. People are
never made, and oversight is never waived: that takes two admins.

A value of a secret that a tool's file names is taken from the environment, as SAYSO_TOOL_<TOOL>_<NAME> in capitals, with
an underscore for every other sign; or from the file that SAYSO_TOOL_<TOOL>_<NAME>_FILE names. It is needed for a tool
that is new or moves to another address or command; otherwise a tool keeps what it has.

    SAYSO_TOOL_SEND_SMS_AUTHORIZATION="Bearer ..." manage.py apply DIR
"""


class Command(BaseCommand):
    help = "Make a tenant what a folder of files says, as `export` writes it. On a terminal it asks before it changes anything."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = _ABOUT
        parser.add_argument(
            "folder", type=Path, metavar="DIR", help="a folder that `manage.py export` wrote, or like it"
        )
        parser.add_argument("--tenant", help="slug of the tenant; may be left out where there is only one")
        parser.add_argument("--dry-run", action="store_true", help="do it all, show it, and take it back")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--reason", default="", help="why; kept with each new revision and each revoked tool")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = choosing.tenant(options["tenant"])
        folder, reason = options["folder"], options["reason"]
        asks = not (options["dry_run"] or options["yes"]) and sys.stdin is not None and sys.stdin.isatty()
        if not (options["dry_run"] or asks):
            self._apply(tenant, folder, reason, rehearsal=False)
            return
        # Nobody is waited for inside a transaction: what is shown was done, and taken back.
        shown = self._apply(tenant, folder, reason, rehearsal=True)
        if not shown:
            return
        if options["dry_run"]:
            self.stdout.write(f"{tenant.slug}: {_counted(shown)} would be made; nothing was changed")
        elif not _agreed(f"Make {_counted(shown)} in {tenant.slug}? [y/N] "):
            raise CommandError("nothing was changed")
        else:
            self._apply(tenant, folder, reason, rehearsal=False, shown=shown)

    def _apply(
        self, tenant: Tenant, folder: Path, reason: str, *, rehearsal: bool, shown: list[changes.Change] | None = None
    ) -> list[changes.Change]:
        """Apply the folder, and say what that changes before it is committed. Raises CommandError."""
        try:
            documents, faults = files.read(folder)
            with tenant_scope(tenant):
                now = Tenant.objects.get(pk=tenant.pk)
                work = applying.apply(access.system_actor(now, "apply"), documents, faults, reason)
                if shown is None:
                    self._tell(work)
                elif work.changes != shown:
                    raise CommandError("meanwhile something else was changed: look again. Nothing was changed")
                self._test(work, "would be" if rehearsal else "is")
                if rehearsal:
                    transaction.set_rollback(True)
        except files.Faulty as refusal:
            for fault in refusal.faults:
                self.stderr.write(changes.plain(str(fault)))
            raise CommandError(f"{len(refusal.faults)} fault(s); nothing was changed") from refusal
        if work.changes and not rehearsal:
            self.stdout.write(f"{tenant.slug}: {_counted(work.changes)} made")
        return work.changes

    def _test(self, work: applying.Work, how: str) -> None:
        """Put what must pass a smoke test before it goes live through it. Raises Faulty."""
        for revision in work.waiting:
            file = files.revision_file(revision.workflow.slug)
            try:
                smoke.start(work.actor, revision.workflow, revision.number, promote=True)
            except Invalid as fault:
                raise files.Faulty(
                    [files.Fault(file, "", f"cannot be tested: {fault.field} {fault.message}")]
                ) from fault
            except AtLimit as limit:
                raise files.Faulty([files.Fault(file, "", f"cannot be tested now: {limit}")]) from limit
            self.stdout.write(f"note: {file}: its smoke test {how} started; new runs take it when it has passed")

    def _tell(self, work: applying.Work) -> None:
        for line in changes.report(work.changes):
            self.stdout.write(line)
        for note in work.notes:
            self.stdout.write(f"note: {changes.plain(note)}")
        if not work.changes:
            self.stdout.write("nothing to change")
        self.stdout.flush()


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def _counted(made: list[changes.Change]) -> str:
    return "1 change" if len(made) == 1 else f"{len(made)} changes"
