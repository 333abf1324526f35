"""What a tenant has, as the documents of files.py. Call inside a tenant_scope, with a tenant as it is now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from console.agents.leaks import MESSAGE, leaks
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.groups import everybody
from console.tenants.models import Credential, Group
from console.workflows import (
    actions,
    catalogue,
    files,
    limits,
    naming,
    outline,
    parts,
    registry,
    smoke,
    tool_actions,
    tool_files,
)
from console.workflows.files import Documents, Fault, Faulty
from console.workflows.models import Tool, Workflow

Json = Any


@dataclass(frozen=True)
class Aspect:
    """A key of workflow.json: what kind of value it takes, what a workflow has there, and how it is changed.

    ``put`` raises Invalid or Refused; a JSON path in it starts at the value. ``told`` is the value as differences of it
    are best told.
    """

    kind: type
    of: Callable[[Workflow], Json]
    put: Callable[[Actor, Workflow, Json], object]
    told: Callable[[Json], Json] = lambda value: value


def _put_limits(actor: Actor, workflow: Workflow, value: Json) -> None:
    actions.put_limits(actor, value, workflow)


def _put_queue(actor: Actor, workflow: Workflow, value: Json) -> None:
    actions.put_queue(actor, value, workflow)


def _by_name(suite: Json) -> Json:
    """A suite of smoke tests, with its cases by their names."""
    cases = [case for case in suite.get("cases") or [] if isinstance(case, dict)]
    return {**suite, "cases": {str(case.get("name")): case for case in cases}}


ASPECTS: Mapping[str, Aspect] = {
    "name": Aspect(str, lambda workflow: workflow.name, naming.put_name),
    "description": Aspect(str, lambda workflow: workflow.description, naming.put_description),
    "limits": Aspect(dict, lambda workflow: workflow.limits, _put_limits),
    "queue": Aspect(str, lambda workflow: workflow.queue, _put_queue),
    "smoke": Aspect(dict, lambda workflow: smoke.of(workflow).plain(), actions.put_smoke, _by_name),
}


def documents(actor: Actor) -> Documents:
    """Everything that is kept in files, by path. Raises Faulty where a key would get into them."""
    found: Documents = {files.TENANT: tenant(actor)}
    found |= {files.group_file(name): document for name, document in groups(actor).items()}
    kept = {part.file: part.of(actor) for part in parts.all()}
    found |= {file: document for file, document in kept.items() if document is not None}
    for name, row in tools(actor).items():
        found[files.tool_file(name)] = tool_files.written(row, secret_names(actor, row))
    numbers = newest(actor)
    for workflow in access.all(Workflow.objects.select_related("current"), actor).order_by("slug"):
        found[files.workflow_file(workflow.slug)] = {key: aspect.of(workflow) for key, aspect in ASPECTS.items()}
        if workflow.current is not None:
            found[files.revision_file(workflow.slug)] = revision(workflow.current.body, numbers)
    faults = _leaks(found)
    if faults:
        raise Faulty(faults)
    return found


def tenant(actor: Actor) -> dict[str, Json]:
    """The document of sayso.json."""
    return {
        "format": files.FORMAT,
        "limits": limits.of_tenant(actor.tenant.id),
        "queue": actor.tenant.queue,
        "credentials": credentials(actor),
    }


def credentials(actor: Actor) -> dict[str, dict[str, str]]:
    """Each credential without its key, by name."""
    return {
        each.name: {
            "provider": each.provider, "base_url": each.base_url, "region": each.region, "zone": each.zone, **each.options
        }
        for each in access.all(Credential, actor).order_by("name")
    }  # fmt: skip


def groups(actor: Actor) -> dict[str, dict[str, Json]]:
    """The document of each group, by its name: its people by their user names."""
    described = access.all(Group, actor).values_list("name", "description")
    inside = everybody(actor.tenant.id)
    return {
        name: {"description": said, "members": sorted(each.username for each in inside.get(name, []))}
        for name, said in described.order_by("name")
    }


def tools(actor: Actor) -> dict[str, Tool]:
    """The newest version of each registered tool, by name; and the rows that switch off tools of the code."""
    rows = access.all(Tool, actor).order_by("name", "-version").distinct("name")
    return {row.name: row for row in rows}


def newest(actor: Actor) -> dict[str, int]:
    """The number of each tool's newest version, revoked or not; of an MCP server's tools, under the server's name."""
    code = {name: spec.version for name, spec in catalogue.all().items()}
    rows = access.all(Tool, actor).exclude(kind=registry.OURS).values_list("name").annotate(Max("version"))
    return code | dict(rows)


def secret_names(actor: Actor, row: Tool | None) -> list[str]:
    """The names of a version's headers or environment."""
    return sorted(tool_actions.opened(actor, row)) if row is not None else []


def revision(body: Mapping[str, Json], numbers: Mapping[str, int]) -> dict[str, Json]:
    """The document of revision.json. A tool's version is in it only where it is not the newest, which a revision takes by
    itself: so a new version of a tool does not change every file, and a workflow that lags behind can be seen."""
    document = copy.deepcopy(dict(body))
    for node in outline.nodes(document.get("team"), "tool"):
        config = outline.config(node)
        name = str(config.get("catalogue"))
        number = numbers.get(name, numbers.get(name.partition(".")[0]))
        if config.get("version") == number:
            config.pop("version", None)
    return document


def _leaks(found: Documents) -> list[Fault]:
    """Keys in what is about to be written. Of a revision, they were refused when it was made."""
    said = f"{MESSAGE} Headers and environment are the places for it; an export holds no key."
    whole = [files.TENANT, *(part.file for part in parts.all()), *map(files.group_file, files.groups(found))]
    faults = [Fault(file, path, said) for file in whole for path in leaks(found.get(file), "$")]
    for name, document in files.tools(found).items():
        faults += [Fault(files.tool_file(name), path, said) for path in tool_files.exposed(document)]
    return faults
