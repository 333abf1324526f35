"""Conditions of rules (CEL), bounded: what one may cost is known before it is evaluated.

The library evaluates in one go and keeps the interpreter's lock: an evaluation cannot be given up, and a loop within a
loop over a few hundred entries takes seconds. So a condition is refused when it is saved for what can grow beyond all
bounds (a loop in a loop, a pattern made of arguments, counted repetitions), and is not evaluated over arguments that
are too large for it. What is not evaluated is an error, and an error of a rule means that a person decides.

What a condition sees: ``arguments``, ``tool``, ``agent``, ``risk``, ``safety``, ``run`` and ``tenant``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

Json = Any

MAX_WHEN = 1000  # characters
MAX_LOOPS = 3
MAX_NODES = 10_000  # values in all that a condition sees
MAX_TEXT = 1_000_000  # characters in it
MAX_LOOPED = 500  # entries of the longest list or object, where a condition loops; fewer where it adds lists up
MAX_LOOPED_NODES = 4_000_000  # values times entries, times the parts of lists that are written out
MAX_LOOPED_TEXT = 20_000_000  # characters times entries
MAX_BUILT = 1_000_000  # values that map and filter copy: they copy the whole list for each of its entries
MAX_ADDED = 1_000_000  # values that sums copy: a + b + c copies a twice
MAX_ADDED_TEXT = 50_000_000  # and characters
MAX_MATCHED = 64_000  # characters, where a condition matches a pattern
MAX_REPEATS = 50  # that a pattern may count in all
BUDGET = 0.25  # seconds of CPU that all conditions of a list may take for one call

_LOOPS = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_BUILDS = re.compile(r"\.\s*(?:map|filter)\s*\(")
_TEXTS = re.compile(
    r"""(?P<raw>[bB]?[rR][bB]?)?(?P<quote>'''|\"\"\"|'|")""",
)
_MATCHES = re.compile(r"\bmatches\s*\(")
_SYNTAX = re.compile(r"ERROR: <input>:\d+:(?P<column>\d+): (?:Syntax error: )?(?P<what>.+)")
_COUNTED = re.compile(r"\{\s*(\d+)?\s*(?:,\s*(\d+)?\s*)?\}")


class TooMuch(ValueError):
    """The condition could take too long; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that may be evaluated, and what its bounds depend on."""

    text: str
    program: cel.Program
    loops: int
    builds: int  # loops that make a list
    adds: int
    parts: int  # commas and brackets: what may copy a value into a list that is written out
    matches: int


@lru_cache(maxsize=4096)
def compiled(when: str) -> Condition:
    """The condition, parsed and bounded once per process. Raises ValueError (TooMuch among them)."""
    if len(when) > MAX_WHEN:
        raise TooMuch(f"must be at most {MAX_WHEN} characters")
    bare, texts = _without_texts(when)
    loops = _loops(bare)
    patterns = len(_MATCHES.findall(bare))
    if patterns:
        if loops:
            # A pattern is made anew for each entry, which may take 30 ms.
            raise TooMuch("has matches(...) beside a loop; use startsWith, endsWith or contains there")
        _check_patterns(bare, texts)
    builds = len(_BUILDS.findall(bare))
    return Condition(when, _parse(when), loops, builds, bare.count("+"), sum(map(bare.count, ",[{")), patterns)


def _parse(when: str) -> cel.Program:
    try:
        return cel.compile(when)
    except ValueError as error:
        if "Recursion limit" in str(error):
            raise TooMuch("is nested too deep; write it as two rules") from None
        found = _SYNTAX.search(str(error))
        if found is None:
            raise
        what = "it ends too early" if "<EOF>" in found["what"] else found["what"].partition(" expecting ")[0]
        raise ValueError(f"cannot be read at character {found['column']}: {what[:1].lower()}{what[1:]}") from None
    except Exception:
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise _panic(error) from None


def _panic(error: BaseException) -> BaseException:
    return ValueError("cannot be read") if type(error).__name__ == "PanicException" else error


def _without_texts(when: str) -> tuple[str, list[str]]:
    """The condition with each of its texts written as ``''``, and those texts as they stand between their quotes."""
    bare, texts, at = [], [], 0
    while at < len(when):
        if when.startswith("//", at):
            at = (when.find("\n", at) + 1) or len(when)
            continue
        found = _TEXTS.match(when, at)
        if found is None:
            bare.append(when[at])
            at += 1
            continue
        quote, start = found["quote"], found.end()
        end = start
        while end < len(when) and not when.startswith(quote, end):
            end += 2 if when[end] == "\\" and not found["raw"] else 1
        texts.append(when[start:end])
        bare.append("''")
        at = end + len(quote)
    return "".join(bare), texts


def _loops(bare: str) -> int:
    """How many loops the condition has. Raises TooMuch for one inside another, and for too many."""
    found = list(_LOOPS.finditer(bare))
    for loop in found:
        depth, at = 1, loop.end()
        while at < len(bare) and depth:
            depth += (bare[at] == "(") - (bare[at] == ")")
            at += 1
        if any(loop.end() <= other.start() < at for other in found):
            raise TooMuch(
                "has a loop inside a loop (all, exists, exists_one, map, filter), which could take for ever; "
                "write it without, or as two rules"
            )
    if len(found) > MAX_LOOPS:
        raise TooMuch(f"has {len(found)} loops; at most {MAX_LOOPS} are possible, so write more than one rule")
    return len(found)


def _check_patterns(bare: str, texts: list[str]) -> None:
    """Patterns have to be written out, and may not repeat much."""
    before = 0
    for call in _MATCHES.finditer(bare):
        before = bare.count("''", 0, call.end())
        rest = bare[call.end() :].lstrip()
        if not re.match(r"''\s*\)", rest) and not re.match(r"[\w.\s]+,\s*''\s*\)", rest):
            raise TooMuch("matches(...) takes a pattern that is written out as a text, such as '^EU-'")
        counts = [int(number) for pair in _COUNTED.findall(texts[before]) for number in pair if number]
        total = 1
        for count in counts:
            total *= max(count, 1)
        if total > MAX_REPEATS:
            raise TooMuch(f"has a pattern that counts repetitions beyond {MAX_REPEATS}; use * or + instead")


@dataclass(frozen=True, slots=True)
class _Size:
    nodes: int
    text: int
    longest: int


class Context:
    """What conditions see, handed over to CEL once for all rules of a list, and only when a rule has a condition."""

    __slots__ = ("_given", "_made", "_size", "_spent")

    def __init__(self, given: dict[str, Json]) -> None:
        self._given = given
        self._made: cel.Context | None = None
        self._size: _Size | None = None
        self._spent = 0.0

    def ask(self, condition: Condition) -> Json:
        """What the condition answers. Raises TooMuch, or whatever the library does for what cannot be evaluated."""
        if self._size is None:
            self._size = _size(self._given)
        _bound(condition, self._size)
        if self._spent > BUDGET:
            raise TooMuch("the conditions before it took too long")
        if self._made is None:
            self._made = cel.Context(self._given)
        began = time.thread_time()
        try:
            return condition.program.execute(self._made)
        except Exception:
            raise
        except BaseException as error:
            raise _panic(error) from None
        finally:
            self._spent += time.thread_time() - began


def _bound(condition: Condition, size: _Size) -> None:
    if size.nodes > MAX_NODES:
        raise TooMuch(f"there are more than {MAX_NODES:,} values in the call")
    if size.text > MAX_TEXT:
        raise TooMuch(f"there are more than {MAX_TEXT:,} characters in the call")
    if condition.matches and size.text > MAX_MATCHED:
        raise TooMuch(f"there are more than {MAX_MATCHED:,} characters to match a pattern with")
    if condition.adds**2 * size.nodes > MAX_ADDED or condition.adds**2 * size.text > MAX_ADDED_TEXT:
        raise TooMuch("the call is too large to add up that often")
    if condition.loops:
        looped = size.longest * (1 + condition.adds)
        built = condition.builds * looped**2 * (1 + condition.parts) * size.nodes
        too_much = (
            looped > MAX_LOOPED
            or looped * size.nodes * (1 + condition.parts) > MAX_LOOPED_NODES
            or looped * size.text > MAX_LOOPED_TEXT
            or built > MAX_BUILT
        )
        if too_much:
            raise TooMuch(f"the call has a list of {size.longest:,} entries, too many for this loop")


def _size(given: Mapping[str, Json]) -> _Size:
    """How much a condition would see; counting ends where it is too much anyway."""
    nodes = text = longest = 0
    stack: list[Json] = [given]
    while stack and nodes <= MAX_NODES:
        value = stack.pop()
        nodes += 1
        if isinstance(value, str):
            text += len(value)
        elif isinstance(value, Mapping):
            text += sum(len(key) for key in value if isinstance(key, str))
            longest = max(longest, len(value)) if value is not given else longest
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            longest = max(longest, len(value))
            nodes += max(0, len(value) - MAX_NODES)
            stack.extend(value[:MAX_NODES])
    return _Size(nodes, text, longest)
