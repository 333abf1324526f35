"""Refuses a lock file that names any host but the public package index's two."""

import re
import sys
from pathlib import Path

ALLOWED = {"pypi.org", "files.pythonhosted.org"}
_ADDRESS = re.compile(r"""[a-z+]+://(?:[^/\s"'@]+@)?([^/\s"':@]+)""")
_LOCAL = re.compile(r"""\b(?:path|editable|directory)\s*=\s*"([^"]+)""")


def foreign(text: str) -> list[str]:
    """Every host and local path in a lock that is not allowed there, sorted; the project itself is "."."""
    hosts = {match[1].lower() for match in _ADDRESS.finditer(text)} - ALLOWED
    paths = {match[1] for match in _LOCAL.finditer(text)} - {"."}
    return sorted(hosts | paths)


def main() -> int:
    """Exit code 1 and one line for each foreign name."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    if "[[package]]" not in text:
        print(f"{sys.argv[1]} is not a lock file")
        return 1
    found = foreign(text)
    for name in found:
        print(f"{sys.argv[1]} names {name}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
