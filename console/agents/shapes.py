"""Whether a thing is JSON of a bearable size and depth, found out without recursion."""

from __future__ import annotations

from typing import Any

MAX_BYTES = 1_000_000
MAX_DEPTH = 60


def shape_fault(value: Any) -> tuple[str, str] | None:
    """Where (a path below the root) and what is wrong with the shape of a document, or None."""
    size = 0
    todo: list[tuple[Any, str, int]] = [(value, "", 0)]
    while todo:
        item, path, depth = todo.pop()
        size += 8
        if depth > MAX_DEPTH:
            return "", f"The document is nested more than {MAX_DEPTH} levels deep."
        if isinstance(item, str):
            try:
                size += len(item.encode())
            except UnicodeEncodeError:
                return path, "There is a character in it that cannot be written."
            if "\0" in item:
                return path, "There is a NUL character in it."
        elif isinstance(item, dict):
            for key, inner in item.items():
                if not isinstance(key, str):
                    return path, "The names in an object must be text."
                todo.append((key, path, depth))
                todo.append((inner, f"{path}.{key}" if len(path) < 1000 else path, depth + 1))
        elif isinstance(item, list):
            short = len(path) < 1000
            todo.extend((inner, f"{path}[{i}]" if short else path, depth + 1) for i, inner in enumerate(item))
        elif isinstance(item, float):
            if item != item or item in (float("inf"), float("-inf")):
                return path, "This is a number that JSON does not have."
        elif item is not None and not isinstance(item, bool | int):
            return path, "This is not JSON."
        if size > MAX_BYTES:
            return "", f"The document is larger than {MAX_BYTES:,} bytes."
    return None
