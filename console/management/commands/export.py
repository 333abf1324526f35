"""``manage.py export DIR``: a tenant's configuration as files, for Git."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.management import choosing
from console.tenants import access
from console.tenants.models import Tenant
from console.tenants.scopes import tenant_scope
from console.workflows import changes, exporting, files


class Command(BaseCommand):
    help = "Write a tenant's configuration into a folder: limits, queues, groups, rules, tools, workflows and their revisions."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = (
            f"The folder holds, and nothing else of Sayso's:\n\n{files.LAYOUT}\n"
            "No secret is ever in it, and no waiver: NEVER holds only while two admins stand for it."
        )
        parser.add_argument("folder", type=Path, metavar="DIR", help="made when it is not there")
        parser.add_argument("--tenant", help="slug of the tenant; may be left out where there is only one")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = choosing.tenant(options["tenant"])
        folder: Path = options["folder"]
        try:
            with tenant_scope(tenant):
                now = Tenant.objects.get(pk=tenant.pk)
                documents = exporting.documents(access.system_actor(now, "export"))
            done = files.write(folder, documents)
        except files.Faulty as refusal:
            for fault in refusal.faults:
                self.stderr.write(changes.plain(str(fault)))
            raise CommandError("nothing was written") from refusal
        except OSError as error:
            raise CommandError(f"cannot write to {folder}: {error}") from error
        for path, what in done.items():
            self.stdout.write(f"{what:<8} {path}")
        self.stdout.write(f"{tenant.slug}: {len(documents)} files in {folder}, {len(done) or 'none'} changed")
