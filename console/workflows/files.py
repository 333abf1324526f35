"""A tenant's configuration as a folder of files, for Git: which there are, how they are read and how they are written.

Here they are plain objects by their path. exporting.py makes them of what is stored, applying.py goes the other way. What
begins with a dot, and a README, belongs to others and is left alone; anything else in the folder is a fault.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.agents.shapes import shape_fault

Json = Any
Documents = dict[str, Json]

LAYOUT = """\
    sayso.json                         format, limits, queue, and credentials without their keys
    groups/<name>.json                 description, and the user names of its members
    hours.json                         business hours, as PUT /api/v1/calendar takes them; where they were set
    rules.json                         the organisation's own rules; where there were any
    tools/<name>.json                  what PUT /api/v1/tools/<name> takes, with the names of its secrets
    workflows/<slug>/workflow.json     name, description, limits, queue, and smoke tests
    workflows/<slug>/revision.json     the current revision, as POST /api/v1/workflows/<slug>/revisions takes it
"""
FORMAT = 1
TENANT, HOURS, RULES = "sayso.json", "hours.json", "rules.json"
MOST = 8_000_000  # bytes of a file: more than any document that is taken needs, however it is indented
_OURS = re.compile(
    r"(?:sayso|hours|rules)\.json|tools/([^/]+)\.json|groups/([^/]+)\.json|workflows/([^/]+)/(?:workflow|revision)\.json"
)
_FOLDERS = re.compile(r"tools|groups|workflows|workflows/[^/]+")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")
_STAGE = ".sayso-export-"

# The first keys of any object, and the last, as people read them; the others stand between, by the alphabet.
_FIRST = (
    "format", "name", "kind", "provider", "component_type", "version", "component_version", "label", "url", "command",
    "image", "title", "description", "owner", "type", "effect", "risk", "approval", "timeout", "match", "when",
    "approvers", "limits", "queue", "required", "cases", "input", "decide", "answer",
    "credential", "credentials", "fallbacks", "oversight", "rules",
    "mon", "tue", "wed", "thu", "fri", "sat", "sun",
)  # fmt: skip
_LAST = ("input_schema", "output_contract", "schema", "tools", "secrets", "revoked", "config", "team")
_RANK = {**{key: i for i, key in enumerate(_FIRST)}, **{key: 1000 + i for i, key in enumerate(_LAST)}}


@dataclass(frozen=True)
class Fault:
    """What is wrong: in which ``file`` (or folder), at which JSON path (empty: with the file itself), and what to do."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.file, self.path, self.message)))


class Faulty(ValueError):
    """A folder cannot be read, written or applied; ``faults`` say why, each once, file by file."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(dict.fromkeys(faults), key=lambda fault: fault.file)
        super().__init__("; ".join(map(str, self.faults)))


def tool_file(name: str) -> str:
    """Where a tool is."""
    return f"tools/{name}.json"


def group_file(name: str) -> str:
    """Where a group is."""
    return f"groups/{name}.json"


def workflow_file(slug: str) -> str:
    """Where a workflow's name, limits and queue are."""
    return f"workflows/{slug}/workflow.json"


def revision_file(slug: str) -> str:
    """Where a workflow's revision is."""
    return f"workflows/{slug}/revision.json"


def tools(documents: Documents) -> dict[str, Json]:
    """The tools' documents by name."""
    return _by_name(documents, 1)


def groups(documents: Documents) -> dict[str, Json]:
    """The groups' documents by name."""
    return _by_name(documents, 2)


def slugs(documents: Documents) -> list[str]:
    """The slugs of all workflows of which there is any file."""
    found = [_OURS.fullmatch(path) for path in documents]
    return sorted({match[3] for match in found if match and match[3]})


def _by_name(documents: Documents, place: int) -> dict[str, Json]:
    found = {path: _OURS.fullmatch(path) for path in documents}
    return {match[place]: documents[path] for path, match in found.items() if match and match[place]}


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are the same: true is not 1, and 1.0 is 1, as the database has it."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# Reading


def read(folder: Path) -> tuple[Documents, list[Fault]]:
    """Every file that can be read, and what is wrong with the others. Raises Faulty for what is no folder of ours."""
    if not folder.is_dir():
        raise Faulty([Fault(str(folder), "", "is no folder; `manage.py export` makes one")])
    paths, faults = _look(folder)
    documents: Documents = {}
    for path in paths:
        try:
            documents[path] = _load(folder / path)
        except _Unusable as error:
            faults.append(Fault(path, error.path, str(error)))
    if TENANT not in paths:
        said = f'is missing: it says how to read the others, with at least {{"format": {FORMAT}}}'
        faults.append(Fault(TENANT, "", said))
    elif TENANT in documents and not same(documents[TENANT].get("format"), FORMAT):
        said = f"must be {FORMAT}: another version of Sayso wrote this folder, so read it with that one"
        raise Faulty([Fault(TENANT, "$.format", said)])
    return documents, faults


class _Unusable(Exception):
    """A file holds no document; ``path`` says where in it, if anywhere."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def _look(folder: Path) -> tuple[list[str], list[Fault]]:
    """The paths of our files, in order, and a fault for each thing that is none."""
    paths, faults = [], []
    for path, mode in _walk(folder, ""):
        match = _OURS.fullmatch(path)
        name = path if stat.S_ISDIR(mode) else next((each for each in match.groups() if each), "") if match else ""
        if stat.S_ISLNK(mode):
            faults.append(Fault(path, "", "is a symbolic link, and links are not followed: put the file itself here"))
        elif stat.S_ISDIR(mode) or not match:
            faults.append(Fault(path, "", "does not belong here: see the layout in `manage.py export --help`"))
        elif not stat.S_ISREG(mode):
            faults.append(Fault(path, "", "is no regular file"))
        elif name and not _PLAIN.match(name):
            faults.append(Fault(path, "", "must be named with letters, digits, hyphens and underscores"))
        else:
            paths.append(path)
    return paths, faults


def _walk(folder: Path, below: str) -> Iterator[tuple[str, int]]:
    """(path, mode) of everything but our own folders, by name; nothing that belongs to others."""
    for name in sorted(os.listdir(folder / below)):
        path = f"{below}/{name}" if below else name
        if name.startswith(".") or (not below and name.upper().startswith("README")):
            continue
        mode = (folder / path).lstat().st_mode
        if stat.S_ISDIR(mode) and _FOLDERS.fullmatch(path):
            yield from _walk(folder, path)
        else:
            yield path, mode


def _load(file: Path) -> dict[str, Json]:
    """The object in a file. Raises _Unusable."""
    try:
        if file.stat().st_size > MOST:
            raise _Unusable(f"is larger than {MOST:,} bytes")
        document = json.loads(file.read_bytes().decode(), object_pairs_hook=_once)
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _Unusable(f"is not UTF-8 (at byte {error.start:,}): save it as UTF-8") from error
    except RecursionError as error:
        raise _Unusable("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise _Unusable(f"is not JSON: {error}") from error
    except ValueError as error:  # a number of thousands of digits
        raise _Unusable(str(error)) from error
    if not isinstance(document, dict):
        raise _Unusable("must be an object", "$")
    fault = shape_fault(document)
    if fault:
        raise _Unusable(fault[1], f"${fault[0]}")
    return document


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object in which no key stands twice, as one does after a careless merge."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Unusable(f"has a key twice in one object: {next(name for name in names if names.count(name) > 1)!r}")
    return found


# Writing


def text(document: Json) -> str:
    """A document as its file has it, always the same for the same document."""
    return json.dumps(_ordered(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write(folder: Path, documents: Documents) -> dict[str, str]:
    """Make the folder hold these documents and no other of ours. Returns each changed path with what was done.

    Everything is written beside before anything is replaced, so that whatever fails on the way leaves the old files.
    Raises Faulty where the folder holds what is not ours, and OSError.
    """
    texts = {path: text(document) for path, document in documents.items()}
    folder.mkdir(parents=True, exist_ok=True)
    there, faults = _look(folder)
    faults += [Fault(path, "", "cannot be the name of a file") for path in texts if not _writable(path)]
    if there and TENANT not in there:
        faults.append(Fault(str(folder), "", f"holds files and no {TENANT}: it is no export, so choose another folder"))
    if faults:
        raise Faulty(faults)
    done = {path: "removed" for path in there if path not in texts}
    for path, wanted in texts.items():
        if path not in there:
            done[path] = "new"
        elif (folder / path).read_bytes() != wanted.encode():
            done[path] = "changed"
    _replace(folder, {path: texts[path] for path in done if path in texts})
    _remove(folder, [path for path in done if path not in texts])
    return dict(sorted(done.items()))


def _writable(path: str) -> bool:
    match = _OURS.fullmatch(path)
    return match is not None and all(_PLAIN.match(name) for name in match.groups() if name)


def _replace(folder: Path, texts: Mapping[str, str]) -> None:
    """Write all files on the same disk, and only then move them to their places."""
    if not texts:
        return
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=folder))
    try:
        for number, wanted in enumerate(texts.values()):
            (stage / str(number)).write_bytes(wanted.encode())
        for path in texts:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(texts):
            (stage / str(number)).replace(folder / path)
    finally:
        shutil.rmtree(stage)


def _remove(folder: Path, paths: list[str]) -> None:
    """Remove files, and the workflows' folders that are empty then."""
    for path in paths:
        (folder / path).unlink()
    for parent in {(folder / path).parent for path in paths} - {folder}:
        if not any(parent.iterdir()):
            parent.rmdir()


def _ordered(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: (_RANK.get(key, 500), key))}
    if isinstance(value, list):
        return [_ordered(inner) for inner in value]
    return value
