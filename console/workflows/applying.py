"""A folder of files into a tenant: what differs is changed, through the same actions as everything else.

``apply`` begins with the tools, which revisions need, and whose servers may take seconds to answer, before rows are locked
that runs need; then come the groups, which rules name. Then it goes from above to below, since a limit is checked against
the ones above it: the tenant, each workflow, its revision. Tools are revoked last, so that what a revoked tool is still
pinned in can be made anew elsewhere. The organisation's rules and its queue are set at the very end, since no run can start
while the tenant's row is locked. It does not stop at a fault: the caller's transaction is undone, and all faults are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.tenants import access
from console.tenants.access import Actor
from console.tenants.actions import AZURE
from console.workflows import actions, applying_groups, applying_tools, body, changes, exporting, files, parts, registry
from console.workflows.changes import Change
from console.workflows.exporting import ASPECTS
from console.workflows.files import Documents, Fault, Faulty, same
from console.workflows.models import Revision, Rollout, Workflow
from console.workflows.parts import Part
from console.workflows.work import Work

Json = Any

_CREDENTIAL = ("provider", "base_url", "region", "zone", *AZURE)
_KNOWN = {"format": int, "limits": dict, "queue": str, "credentials": dict}
_PLACES = (files.TENANT, "groups", files.HOURS, files.RULES, "tools", "workflows")  # in which order changes are told


def apply(actor: Actor, documents: Documents, faults: list[Fault], reason: str = "") -> Work:
    """Make the tenant what the documents say; returns what was changed, and what was left alone.

    Call inside a tenant_scope with a tenant as it is now, and let what is raised leave it, so that nothing is changed.
    Raises Forbidden, and Faulty with every fault, those that reading has found included.
    """
    access.require(actor, "admin")
    work = Work(actor, documents, reason, list(faults))
    later = applying_tools.put_tools(work)
    applying_groups.put_groups(work)
    _tenant(work)
    numbers = exporting.newest(actor)
    for slug in files.slugs(documents):
        _workflow(work, slug, numbers)
    if not work.faults:  # else one of them may not be there
        applying_tools.revoke(work, later)
    for part in parts.all():
        _part(work, part)
    _queue(work)
    _others(work)
    if work.faults:
        raise Faulty(work.faults)
    work.changes.sort(key=lambda change: _PLACES.index(change.file.partition("/")[0]))
    return work


def _tenant(work: Work) -> None:
    """The limits, and a look at the credentials."""
    document = work.documents.get(files.TENANT)
    if document is None or work.mistyped(files.TENANT, document, _KNOWN):
        return
    stored = exporting.tenant(work.actor)
    before, value = stored["limits"], _said(document, "limits")
    if "limits" in document and not same(value, before):
        with work.at(files.TENANT, "$.limits"):
            actions.put_limits(work.actor, value)
            work.changes += changes.of_values(files.TENANT, {"limits": before}, {"limits": value})
    if "credentials" in document:
        _credentials(work, document["credentials"], stored["credentials"])


def _queue(work: Work) -> None:
    before = work.actor.tenant.queue
    value = work.documents.get(files.TENANT, {}).get("queue", before)
    if isinstance(value, str) and value != before:
        with work.at(files.TENANT, "$.queue"):
            actions.put_queue(work.actor, value)
            work.changes += changes.of_values(files.TENANT, {"queue": before}, {"queue": value})


def _credentials(work: Work, wanted: Mapping[str, Json], stored: Mapping[str, Mapping[str, str]]) -> None:
    """Say how the credentials differ. They are never made here: a key is in no file."""
    for name, about in wanted.items():
        path = f"$.credentials.{name}"
        if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
            work.faults.append(Fault(files.TENANT, path, "must be an object of texts"))
            continue
        strange = [key for key in about if key not in _CREDENTIAL]
        said = f"is not known here; there are {', '.join(_CREDENTIAL)}, and a key is in no file"
        work.faults += [Fault(files.TENANT, f"{path}.{key}", said) for key in strange]
        if name not in stored:
            work.notes.append(f"there is no credential {name!r} here: add it, with its key, under Credentials")
            continue
        apart = [
            f"{key} is {stored[name].get(key, '')!r} here and {about.get(key, '')!r} in {files.TENANT}"
            for key in _CREDENTIAL
            if stored[name].get(key, "") != about.get(key, "")
        ]
        if apart and not strange:
            work.notes.append(f"credential {name!r} is left as it is: {'; '.join(apart)}")
    work.notes += [
        f"credential {name!r} is not in {files.TENANT}, and is left as it is" for name in stored if name not in wanted
    ]


def _workflow(work: Work, slug: str, numbers: Mapping[str, int]) -> None:
    """One workflow, with its revision after everything that bounds it."""
    file = files.workflow_file(slug)
    found = access.all(Workflow.objects.select_related("current"), work.actor).filter(slug=slug).first()
    document = work.documents.get(file)
    if document is not None:
        found = _aspects(work, slug, document, found)
    elif not any(fault.file == file for fault in work.faults):
        work.faults.append(Fault(file, "", "is missing: it holds the workflow's name, limits and queue"))
    revision = work.documents.get(files.revision_file(slug))
    if revision is not None:
        _revision(work, files.revision_file(slug), revision, found, numbers)
    elif found is not None and found.current is not None:
        work.notes.append(f"{files.revision_file(slug)} is not there: revision {found.current.number} stays")


def _aspects(work: Work, slug: str, document: Mapping[str, Json], found: Workflow | None) -> Workflow | None:
    """The workflow as its file says, read anew; None when it is not there and cannot be made."""
    file = files.workflow_file(slug)
    name = document.get("name", "" if found is None else found.name)
    if work.mistyped(file, document, {key: aspect.kind for key, aspect in ASPECTS.items()}):
        return found
    if name != name.strip() or not name:
        work.faults.append(Fault(file, "$.name", "must be 1 to 200 characters, without spaces around them"))
        return found
    if found is None:
        with work.at(file):
            found = actions.create_workflow(work.actor, slug, name, description=document.get("description", ""))
            work.changes += [Change(file, "new workflow", "", changes.plain(name))]
    if found is None:
        return None
    for key, aspect in ASPECTS.items():
        before, value = aspect.of(found), _said(document, key)
        if key in document and not same(before, value):
            with work.at(file, f"$.{key}"):
                aspect.put(work.actor, found, value)
                work.changes += changes.of_values(file, {key: aspect.told(before)}, {key: aspect.told(value)})
    return access.get(Workflow.objects.select_related("current"), work.actor, pk=found.pk)


def _revision(work: Work, file: str, document: Json, workflow: Workflow | None, numbers: Mapping[str, int]) -> None:
    """Make the revision, unless the current or the newest one is just that. Without a workflow, only look at it."""
    of_it = access.all(Revision, work.actor).filter(workflow=workflow) if workflow else Revision.objects.none()
    newest = of_it.order_by("-number").first()
    current = workflow.current if workflow else None
    known = [revision for revision in (current, newest) if revision is not None]
    match = next((each for each in known if same(exporting.revision(each.body, numbers), document)), None)
    if match is None:
        kept, findings = body.examine(document, registry.of(work.actor.tenant.id).all())
        if kept is None:
            errors = [finding for finding in findings if finding.level == "error"]
            work.faults += [Fault(file, finding.path, finding.message) for finding in errors]
            return
        match = next((each for each in known if same(each.body, kept)), None)
    if match is not None and match != current:
        number = f"revision {current.number}" if current else "none"
        work.notes.append(
            f"{file}: revision {match.number} says this, and waits to be promoted: new runs take {number}"
        )
    if match is None and workflow is not None:
        _make(work, file, document, workflow)


def _make(work: Work, file: str, document: Json, workflow: Workflow) -> None:
    trial = access.all(Rollout.objects.select_related("revision"), work.actor)
    tried = trial.filter(workflow=workflow, status="running").first()
    current = workflow.current
    with work.at(file):
        made, findings = actions.create_revision(work.actor, workflow, document, reason=work.reason)
        taken = workflow.current == made
        if not taken:  # it has to pass its smoke test first
            work.waiting.append(made)
        before = f"revision {current.number}" if current and taken else ""
        work.changes.append(Change(file, "new runs take" if taken else "new", before, f"revision {made.number}"))
        work.changes += changes.of_bodies(file, current.body if current else {}, made.body)
        work.notes += [f"{file}: {finding.path}: {finding.message}" for finding in findings]
        if tried is not None and taken:
            what = f"canary of revision {tried.revision.number}"
            work.changes.append(Change(file, what, "running", "stopped"))


def _part(work: Work, part: Part) -> None:
    """What an app above keeps in a file of its own."""
    document, stored = work.documents.get(part.file), part.of(work.actor)
    if document is not None:
        if not (work.mistyped(part.file, document, part.known) or work.exposed(part.file, document)):
            part.put(work, document, stored)
    elif stored is not None and not any(fault.file == part.file for fault in work.faults):
        work.notes.append(f"{part.file} is not there: {part.title} stay as they are")


def _others(work: Work) -> None:
    """Name what the tenant has and the folder has not."""
    slugs, names = files.slugs(work.documents), files.tools(work.documents)
    inside = files.groups(work.documents)
    there = access.all(Workflow, work.actor).order_by("slug").values_list("slug", flat=True)
    found = [f"workflow {slug}" for slug in there if slug not in slugs]
    found += [f"tool {name}" for name in exporting.tools(work.actor) if name not in names]
    found += [f"group {name}" for name in exporting.groups(work.actor) if name not in inside]
    work.notes += [f"{each} is not in the folder, and is left as it is" for each in found]


def _said(document: Mapping[str, Json], key: str) -> Json:
    """A value of a file; of limits, those that are set."""
    value = document.get(key)
    if key == "limits" and isinstance(value, dict):
        return {name: limit for name, limit in value.items() if limit is not None}
    return value
