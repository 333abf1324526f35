"""What an SQL text would touch, in words. Pure.

It reads tokens, not grammar: enough to name verbs and tables, and to call out what cannot be taken back. Where it is in
doubt it says more rather than less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX = 10_000  # characters read; beyond, that is said
STATEMENTS = 8  # told one by one
_TOKEN = re.compile(
    r"""(?P<skip>--[^\n]*|/\*.*?(?:\*/|\Z)|\s+)
      | (?P<text>'(?:[^']|'')*(?:'|\Z)|\$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z))
      | (?P<name>(?:"(?:[^"]|"")*"|`[^`]*`|\[[A-Za-z_][^\]\n]*\]|[^\W\d][\w$]*)
          (?:\s*\.\s*(?:"(?:[^"]|"")*"|`[^`]*`|\[[^\]\n]+\]|[^\W\d][\w$]*))*)
      | (?P<other>.)""",
    re.S | re.X,
)
_VERBS = {
    "SELECT": "Reads",
    "INSERT": "Adds rows to",
    "UPDATE": "Changes rows of",
    "DELETE": "Deletes rows of",
    "MERGE": "Merges rows into",
    "REPLACE": "Replaces rows of",
    "DROP": "Drops",
    "TRUNCATE": "Empties",
    "ALTER": "Alters",
    "CREATE": "Creates",
    "GRANT": "Grants rights on",
    "REVOKE": "Revokes rights on",
    "CALL": "Calls",
    "EXEC": "Executes",
    "EXECUTE": "Executes",
    "COPY": "Copies",
}
_DDL = {"DROP", "TRUNCATE", "ALTER", "CREATE", "GRANT", "REVOKE"}
_CHANGES = {"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"}
_BEFORE_TABLE = set(
    "FROM JOIN INTO UPDATE TABLE USING VIEW TRUNCATE INDEX SCHEMA DATABASE ON CALL EXEC EXECUTE COPY".split()
)
_PASS = set("ONLY IF NOT EXISTS LATERAL TABLE CONCURRENTLY IGNORE".split())
_NEVER = set(
    "SELECT VALUES SET WHERE UNNEST CONFLICT DUPLICATE STDIN STDOUT UPDATE DELETE CASCADE NOTHING FROM INTO".split()
)


@dataclass(slots=True)
class Reading:
    """``says``: what it does, a sentence a statement; ``faults``: what a person must not overlook."""

    says: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def read(text: str) -> Reading:
    """What the statements in ``text`` do."""
    reading = Reading()
    statements = _statements(text[:MAX])
    for tokens in statements[:STATEMENTS]:
        _say(tokens, reading)
    if len(statements) > 1:
        reading.says.insert(0, f"{len(statements)} statements.")
    for tokens in statements[STATEMENTS:]:
        _say(tokens, Reading(says=[], faults=reading.faults))
    if len(text) > MAX:
        reading.faults.append(f"Only the first {MAX:,} characters were looked at; read the rest yourself.")
    if "/*!" in text[:MAX]:
        reading.faults.append("Contains a comment that MySQL executes (/*! … */).")
    if re.search(r"\\'", text[:MAX]):
        reading.faults.append("Quotes after a backslash end differently in different databases; read it with care.")
    reading.faults = list(dict.fromkeys(reading.faults))
    return reading


def _statements(text: str) -> list[list[tuple[str, int]]]:
    """(word, depth of parentheses) of each statement; words that are SQL's own in capitals."""
    found: list[list[tuple[str, int]]] = [[]]
    depth = 0
    for token in _TOKEN.finditer(text):
        word = token[0]
        if token["skip"]:
            continue
        if word == ";":
            found.append([])
            depth = 0
        elif word == ")":
            depth -= 1
        elif token["text"]:
            found[-1].append(("'", depth))
        else:
            found[-1].append((word, depth))
            depth += word == "("
    return [one for one in found if one]


def _say(tokens: list[tuple[str, int]], reading: Reading) -> None:
    words = [(word.upper(), word, depth) for word, depth in tokens]
    made = _made_here(words)
    verb = next((up for up, _, depth in words if up in _VERBS and depth == 0), "SELECT")
    if words[0][0] not in _VERBS and words[0][0] not in ("WITH", "EXPLAIN", "("):
        reading.says.append(f"Begins with {words[0][1][:40]}.")
        return
    tables = [name for name in _tables(words) if name.upper() not in made]
    first = 1 if verb in _CHANGES else len(tables)
    also = f", reading {_named(tables[first:])}" if tables[first:] else ""
    reading.says.append(f"{_VERBS[verb]} {_object(verb, words, _named(tables[:first]))}{also}.")
    _warn(verb, words, reading)


def _named(tables: list[str]) -> str:
    return ", ".join(tables[:6]) + (f" and {len(tables) - 6} more" if len(tables) > 6 else "")


def _object(verb: str, words: list[tuple[str, str, int]], named: str) -> str:
    if verb in ("DROP", "ALTER", "CREATE"):
        kinds = {"TABLE", "VIEW", "INDEX", "SCHEMA", "DATABASE", "FUNCTION", "TRIGGER", "USER", "ROLE"}
        kind = next((up.lower() for up, _, _ in words[1:5] if up in kinds), "")
        return " ".join(filter(None, [kind, named])) or "something"
    return named or "no table"


def _warn(verb: str, words: list[tuple[str, str, int]], reading: Reading) -> None:
    if verb in _DDL:
        did = {
            "GRANT": "Changes who may do what",
            "REVOKE": "Changes who may do what",
            "TRUNCATE": "Empties whole tables",
        }
        reading.faults.append(f"{did.get(verb, 'Changes the structure of the database')} ({verb}).")
    for place, (up, _, depth) in enumerate(words):
        if up not in _CHANGES or not _begins(words, place):
            continue
        if depth > 0:
            reading.faults.append(f"Changes data inside a WITH ({up}).")
        if up not in ("UPDATE", "DELETE"):
            continue
        target = next(iter(_tables(words[place : place + 5])), "the table")
        where = _where(words[place + 1 :], depth)
        if where is None:
            reading.faults.append(f"{up} without WHERE: every row of {target}.")
        elif where in (["1", "=", "1"], ["TRUE"], ["1"]):
            reading.faults.append(f"{up} whose WHERE is always true: every row of {target}.")


def _where(words: list[tuple[str, str, int]], depth: int) -> list[str] | None:
    """The condition of a statement that goes on with ``words``; None where it has none."""
    scope = []
    for up, _, level in words:
        if level < depth:
            break
        if level == depth:
            scope.append(up)
    return scope[scope.index("WHERE") + 1 :] if "WHERE" in scope else None


def _begins(words: list[tuple[str, str, int]], place: int) -> bool:
    """Whether the verb at ``place`` begins a statement of its own: not FOR UPDATE, ON DELETE, DO UPDATE or a column."""
    before = words[place - 1][0] if place else ""
    after = words[place + 1][0] if place + 1 < len(words) else ""
    if before in ("FOR", "ON", "DO", "NO", "THEN", ",", ".", "OR", "GRANT", "REVOKE", "KEY"):
        return False
    return after == "FROM" if words[place][0] == "DELETE" else after not in ("", ",", "=", "(", "ON", "TO", "FROM")


def _tables(words: list[tuple[str, str, int]]) -> list[str]:
    found: list[str] = []
    for place, (up, _, _) in enumerate(words[:-1]):
        if up not in _BEFORE_TABLE:
            continue
        if up == "ON" and words[0][0] not in ("GRANT", "REVOKE", "CREATE"):
            continue
        if up == "UPDATE" and not _begins(words, place):
            continue
        follows = place + 1
        while follows < len(words) and words[follows][0] in _PASS:
            follows += 1
        if follows < len(words):
            up_name, name, _ = words[follows]
            if up_name not in _NEVER and re.match(r'[^\W\d]|["`\[]', name):
                found.append(re.sub(r"\s*\.\s*", ".", name)[:80])
    return list(dict.fromkeys(found))


def _made_here(words: list[tuple[str, str, int]]) -> set[str]:
    """Names that a WITH gives, which are no tables."""
    if words[0][0] != "WITH":
        return set()
    return {words[i - 1][0] for i in range(1, len(words) - 1) if words[i][0] == "AS" and words[i + 1][0] == "("}
