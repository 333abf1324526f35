"""What pages say to scripts: each data attribute of a template is read by a script or a style, or it is left over."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TEMPLATES = [each.read_text() for each in sorted((ROOT / "templates").rglob("*.html"))]
READERS = "\n".join(each.read_text() for each in sorted((ROOT / "static").iterdir()) if each.suffix in (".js", ".css"))
FILTER = "data-filter-"  # of a list: live.js compares each with the entry's own attribute of that name


def read(name: str, said: set[str]) -> bool:
    camel = re.sub(r"-([a-z])", lambda found: found[1].upper(), name.removeprefix("data-"))
    by_name = re.search(rf"{name}(?![\w-])|\.{camel}\b|[\"']{camel}[\"'] in \w+\.dataset", READERS)
    return bool(by_name) or name.startswith(FILTER) or f"{FILTER}{name.removeprefix('data-')}" in said


def test_every_data_attribute_is_read() -> None:
    said = {name for text in TEMPLATES for name in re.findall(r"[\s\"'}](data-[a-z-]+)(?=[=\s>{])", text)}
    assert len(said) > 40 and read("data-step-link", said) and read("data-starter", said)
    assert not read("data-step-lin", said)
    assert [name for name in sorted(said) if not read(name, said)] == []
