"""What is blotted out of a text before it is shown: addresses, card and account numbers, and patterns of the tenant's own.

Pure, and bounded. The three that are built in look at each character a fixed number of times, and check what they
find (Luhn, ISO 7064), so that an order's number is not taken for a card's. Own patterns are the tenant's regular
expressions, which can be written so that they never end: each search has a time limit, and so have all of one page
together. A text that could not be searched through in time is hidden as a whole; nothing is shown because it was slow.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import regex

Json = Any
EMAIL, CARD, IBAN = "email", "card", "iban"
KINDS = {EMAIL: "e-mail addresses", CARD: "card numbers", IBAN: "bank accounts (IBAN)"}

PATTERNS = 20  # own patterns
LONGEST = 200  # characters of one
NAME = re.compile(r"[^\W_][\w .-]{0,39}")  # what stands in the place of what it found; no quotes: it may be inside JSON
EACH_S = 0.05  # seconds for one search
ALL_S = 1.0  # seconds for all searches of one page or call
UNREAD = "[hidden: it could not be searched in time]"

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_CARD = re.compile(r"(?<!\d)\d(?:[ .-]?\d){12,18}(?!\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,40}")
# How long a country's account numbers are, by ISO 13616; other countries' are not looked for.
_LENGTHS = {
    code: int(length)
    for length, codes in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL", "19": "MK SI", "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS", "23": "AE GI IL IQ OM TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB PL SV",
        "29": "BR EG PS QA UA", "30": "JO KW MU", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
_PROBES = ("a" * 3000 + "!", "1" * 3000 + "x", "a1 " * 1000 + "!", " " * 3000 + "x", "ab@c.d-" * 400 + "!")


class BadPattern(ValueError):
    """A pattern that cannot be taken; the text says why, to go on after "the pattern "."""


class Masker:
    """Blots out of JSON values what it was made to look for.

    One is made for each page or call: its time is all that own patterns may take there. ``clock`` is in seconds.
    """

    def __init__(
        self,
        kinds: Iterable[str] = (),
        patterns: Iterable[Mapping[str, str]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kinds = frozenset(kinds)
        self._patterns = [(one["name"], compiled(one["pattern"])) for one in patterns]
        self._clock = clock
        self._left = ALL_S

    def __bool__(self) -> bool:
        return bool(self._kinds or self._patterns)

    @property
    def spent(self) -> bool:
        """Whether the time of own patterns is over: texts are hidden as a whole from here on."""
        return bool(self._patterns) and self._left <= 0

    def of(self, value: Json) -> Json:
        """The value with all that is found blotted out: in texts, in names, and in numbers (which then are texts)."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.of(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            found = self.text(written)
            return value if found == written else found
        return value

    def text(self, text: str) -> str:
        """The text with all that is found blotted out."""
        if EMAIL in self._kinds and "@" in text:
            text = _EMAIL.sub(_gone("e-mail address"), text)
        if CARD in self._kinds:
            text = _CARD.sub(lambda found: _gone("card number") if _luhn(found[0]) else found[0], text)
        if IBAN in self._kinds:
            text = _IBAN.sub(_account, text)
        for name, pattern in self._patterns:
            text = self._own(name, pattern, text)
        return text

    def _own(self, name: str, pattern: Any, text: str) -> str:
        if self._left <= 0:
            return UNREAD
        began = self._clock()
        try:
            found: str = pattern.sub(lambda _: _gone(name), text, timeout=min(EACH_S, self._left))
        except TimeoutError:
            found = UNREAD
        self._left -= self._clock() - began
        return found


def compiled(pattern: str) -> Any:
    """A tenant's own pattern, ready to search with. Raises BadPattern, also for one that takes too long already when it
    is tried on a few thousand characters, or that finds nothing at all in a place (and so would be everywhere)."""
    if not isinstance(pattern, str) or not pattern:
        raise BadPattern("is empty")
    if len(pattern) > LONGEST:
        raise BadPattern(f"is longer than {LONGEST} characters")
    try:
        return regex.compile(pattern, regex.VERSION0)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadPattern(f"is no regular expression: {error}") from None


def check(pattern: str) -> None:
    """Raise BadPattern unless the pattern is one that may be kept."""
    found = compiled(pattern)
    try:
        for probe in ("", *_PROBES):
            hit = found.search(probe, timeout=EACH_S * 4)
            if hit is not None and hit.end() == hit.start():
                raise BadPattern("matches where nothing stands, so it would be found everywhere")
    except TimeoutError:
        raise BadPattern("takes too long on a long text; leave out repetitions inside of repetitions") from None


def _gone(what: str) -> str:
    return f"[{what} hidden]"


def _luhn(text: str) -> bool:
    digits = [int(each) for each in text if each.isdigit()][::-1]
    doubled = sum(sum(divmod(2 * each, 10)) for each in digits[1::2])
    return (sum(digits[::2]) + doubled) % 10 == 0


def _account(found: re.Match[str]) -> str:
    """What stands for an account's number; what only looks like one, or follows it, stays."""
    text = found[0]
    length = _LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, each in enumerate(text) if each.isalnum()][:length]
    if not length or len(places) < length or not _iso7064("".join(text[place] for place in places).upper()):
        return text
    end = places[-1] + 1
    return text if text[end : end + 1].isalnum() else _gone("bank account") + text[end:]


def _iso7064(number: str) -> bool:
    moved = number[4:] + number[:4]
    return moved.isascii() and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1
