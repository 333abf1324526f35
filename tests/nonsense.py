"""What nobody means to send: values that JSON, Python and Postgres each take differently.

SAYSO_FUZZ=99 has each field meet every value; by default each meets a few, chosen by a fixed seed, so that all of them
come up somewhere.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

MORE = int(os.environ.get("SAYSO_FUZZ", "0"))


def nested(depth: int) -> Any:
    """Lists within objects, that deep."""
    found: Any = 1
    for level in range(depth):
        found = [found] if level % 2 else {"a": found}
    return found


TEXTS: tuple[str, ...] = (
    "a\x00b", "x" * 100_000, "9" * 5_000, "0" * 5_000, "٣", "-1", "NaN", "1e999", "\u202egnp.exe\u2066", "😀" * 300,
    "\ufffe\x85\x1b[2J", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31", "-0001-01-01", "P999999W",
    "../../etc/passwd", "%00", "{{ x }}<script>", "[" * 50_000, '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": 1e999}',
    '{"a":' * 700 + "1" + "}" * 700, "[" + "9" * 400 + "]", "", " ", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *(text for text in TEXTS if "\x00" not in text), None, True, -1, 0, 10**30, 10**400, 1.5e308, [], {}, [None], [[]], [{}],
    {"": ""}, {"a": None}, ["x"] * 3_000, nested(40), nested(300), nested(600), [10**400], ["😀\u202e"], {"mon": ["00:00"]},
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"", b"[]", b"null", b'"x"', b"{", b"NaN", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\u0000"}', b'{"\\ud800": 1}',
    b"\xff\xfe",
    b"[" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a": ' + b"9" * 5_000 + b"}", b'"' + b"x" * 1_100_000 + b'"',
)  # fmt: skip


def some(of: Sequence[Any], key: str, number: int = 1) -> Sequence[Any]:
    """All of them, or by default so many: always the same for the same ``key``."""
    return random.Random(key).sample(of, min(MORE or number, len(of)))  # noqa: S311 - no secret
