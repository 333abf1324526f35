"""Keys and passwords that somebody left in a document: found by their shape, and never said again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Beginnings that providers give to their keys, and what a private key looks like.
_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|sk-ant-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|github_pat_[A-Za-z0-9_]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}|hf_[A-Za-z0-9]{30,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)
_NAMES = re.compile(r"^(?:.*[_-])?(?:api[_-]?key|secret|password|passwd|authorization|azure_ad_token)$", re.IGNORECASE)
_MASK = re.compile(r"^(?:[*•.…\s]*|x{3,})$", re.IGNORECASE)  # how AutoGen writes a key that it keeps to itself

MESSAGE = "This looks like a key or a password. Take it out, and replace it where it is used: it has been copied."


def leaks(value: Any, path: str, name: str = "") -> Iterator[str]:
    """The path of each text in a JSON value that looks like a secret."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaks(inner, f"{path}.{key}", str(key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaks(inner, f"{path}[{i}]", name)
    elif isinstance(value, str) and (_SHAPES.search(value) or (_NAMES.match(name) and not _MASK.match(value))):
        yield path
