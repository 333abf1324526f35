"""The tools of a folder into a tenant's catalogue; a part of applying.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from console import environment
from console.workflows import catalogue, changes, exporting, files, registry, tool_actions, tool_files
from console.workflows.changes import Change
from console.workflows.files import Fault
from console.workflows.models import Tool
from console.workflows.work import Work

Json = Any


def put_tools(work: Work) -> list[str]:
    """Register what differs, and reinstate; returns the names of those that are to be revoked at the end."""
    before = exporting.tools(work.actor)
    asked: dict[str, str] = {}
    later = []
    for name, document in files.tools(work.documents).items():
        file, row = files.tool_file(name), before.get(name)
        faults = [*tool_files.faults(name, document), *_misplaced(name, document, row)]
        work.faults += faults
        if faults:
            continue
        put = document["kind"] != registry.OURS and _put(work, name, document, row, asked)
        was, wanted = row is not None and row.revoked_at is not None, document.get("revoked", False)
        if was != wanted:
            work.changes.append(Change(file, "revoked", str(was).lower(), str(wanted).lower()))
        if was and not put and not wanted:
            tool_actions.reinstate(work.actor, name)
        if wanted and (put or not was):
            later.append(name)
    _unasked(work, asked)
    return later


def revoke(work: Work, names: list[str]) -> None:
    """Revoke, when nothing needs the tools any more."""
    for name in names:
        tool_actions.revoke(work.actor, name, work.reason)


def _misplaced(name: str, document: Mapping[str, Json], row: Tool | None) -> list[Fault]:
    """A file that speaks of a tool of the code speaks of one that there is, and the other way round."""
    file = files.tool_file(name)
    ours = document.get("kind") == registry.OURS
    if ours and not catalogue.has(name) and (row is None or row.kind != registry.OURS):
        return [Fault(file, "$.kind", f"is {registry.OURS}, and there is no tool {name} in the code of this Sayso")]
    if not ours and catalogue.has(name):
        return [Fault(file, "", f"{name} is a tool of Sayso's own; choose another name")]
    return []


def _put(work: Work, name: str, document: Mapping[str, Json], row: Tool | None, asked: dict[str, str]) -> bool:
    """Register a tool if its file differs from what there is; returns whether a version was made."""
    file = files.tool_file(name)
    stored = tool_actions.opened(work.actor, row) if row is not None else {}
    secrets = _secrets(work, name, document, stored if row and tool_files.same_place(document, row) else {}, asked)
    if secrets is None or (row is not None and tool_files.unchanged(document, row) and secrets == stored):
        return False
    takes = {} if document["kind"] == "code" else {tool_files.secrets_field(document): secrets}
    with work.at(file):
        made = tool_actions.put_tool(work.actor, name, {**tool_files.registered(document), **takes})
        work.changes.append(Change(file, "version", str(row.version) if row else "", str(made.version)))
        old, new = tool_files.shown(row, sorted(stored)), tool_files.shown(made, sorted(secrets))
        work.changes += changes.of_values(file, old, new)
        replaced = [key for key in secrets if key in stored and stored[key] != secrets[key]]
        work.changes += [Change(file, f"secret {key}", "(kept)", "(replaced)") for key in sorted(replaced)]
        return True
    return False


def _secrets(
    work: Work, name: str, document: Mapping[str, Json], kept: Mapping[str, str], asked: dict[str, str]
) -> dict[str, str] | None:
    """The values of the secrets that a file names: given now, or kept by the tool. None, and faults, where one is
    neither: a secret is not invented, and does not go on to a place that it was not given for."""
    found: dict[str, str] = {}
    faults = []
    for i, secret in enumerate(document.get("secrets", [])):
        path, variable = f"$.secrets[{i}]", tool_files.variable(name, secret)
        place = f"{name} {secret}"
        try:
            given = environment.read(variable)
        except ValueError as error:
            faults.append(Fault(files.tool_file(name), path, str(error)))
            continue
        if given and asked.setdefault(variable, place) != place:
            said = f"{variable} stands for {asked[variable]}, too: name one of the two otherwise"
            faults.append(Fault(files.tool_file(name), path, said))
        elif given or secret in kept:
            found[secret] = given or kept[secret]
        else:
            said = f"the value of {secret} is not known for this place: give it in the environment as {variable}"
            faults.append(Fault(files.tool_file(name), path, said))
    work.faults += faults
    return None if faults else found


def _unasked(work: Work, asked: Mapping[str, str]) -> None:
    """A secret that no tool asks for is most likely a slip in its name."""
    given = {name.removesuffix("_FILE") for name in os.environ if name.startswith(tool_files.PREFIX)}
    work.notes += [f"{name} is set, and no tool's file names such a secret" for name in sorted(given - asked.keys())]
