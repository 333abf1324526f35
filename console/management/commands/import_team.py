"""``manage.py import_team FILE --tenant T --workflow W``: make a revision of an AutoGen (Studio) team document."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.tenants import access
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions
from console.workflows.models import Workflow


class Command(BaseCommand):
    help = "Import an AutoGen component document as a new revision of a workflow. Nothing in the file is executed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a team as AutoGen Studio exports it, or a whole revision body")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--workflow", required=True, help="slug of the workflow; made when it is not there")
        parser.add_argument(
            "--tool",
            action="append",
            default=[],
            metavar="NAME=CATALOGUE_NAME",
            help="which catalogue tool stands behind a tool of the document; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        body = _body(options["file"], options["tool"])
        with system_scope("importing a team"):
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"there is no tenant {options['tenant']}")
        with tenant_scope(tenant):
            actor = access.system_actor(tenant, "import_team")
            workflow = access.all(Workflow, actor).filter(slug=options["workflow"]).first()
            workflow = workflow or actions.create_workflow(actor, options["workflow"], options["workflow"])
            try:
                revision, findings = actions.create_revision(actor, workflow, body)
            except actions.Refused as refusal:
                for finding in refusal.findings:
                    self.stderr.write(f"{finding.level}: {finding.path}: {finding.message}")
                raise CommandError(f"{options['file'].name} was refused") from refusal
        for finding in findings:
            self.stdout.write(f"{finding.level}: {finding.path}: {finding.message}")
        self.stdout.write(f"{tenant.slug}/{workflow.slug}: revision {revision.number}")


def _body(file: Path, tools: list[str]) -> dict[str, Any]:
    """A revision body from the file and the ``--tool`` options. Raises CommandError."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {file}: {error}") from error
    if not isinstance(document, dict):
        raise CommandError(f"{file} is not a JSON object")
    pairs = [tool.partition("=") for tool in tools]
    faulty = [name + sign for name, sign, target in pairs if not (name and target)]
    if faulty:
        raise CommandError(f"--tool takes NAME=CATALOGUE_NAME, not {faulty[0]}")
    body = document if "team" in document else {"team": document}
    return {**body, "tools": {**body.get("tools", {}), **{name: target for name, _, target in pairs}}}
