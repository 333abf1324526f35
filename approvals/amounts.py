"""Money among the arguments of a call: which of them is an amount, and how people write it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

Json = Any
_IN_TITLE = re.compile(r"(?:[€$£¥]\s?\d[\d,]*(?:\.\d+)?|\d[\d,]*(?:\.\d+)?\s?(?:EUR|USD|GBP|CHF|€))")
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_PLACES = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "TND": 3, "JOD": 3, "OMR": 3}
_NAMES = {"amount", "price", "total", "cost", "fee", "sum", "value", "budget", "limit", "balance", "refund", "payment"}


def money(name: str, value: Json, arguments: Mapping[str, Json], content: Mapping[str, Json], title: str = "") -> str:
    """The argument as people write an amount of money, "" where it is none.

    It is one where its schema says ``"x-currency": "EUR"``, where the tool declares it (``money``: "amount EUR", or
    "amount" beside an argument ``currency``), where the tool's title shows it so, or where it is called an amount and
    a currency stands beside it.
    """
    number = decimal(value)
    if number is None:
        return ""
    declared = str(content.get("money") or "").partition(" ")
    currency = str(about(content, name).get("x-currency") or "")
    if currency and not _code(currency):  # the name of the argument that holds it
        currency = str(arguments.get(currency) or "")
    if not currency and declared[0] == name:
        currency = declared[2] or str(arguments.get("currency") or "")
        return written(number, currency)
    if not currency and isinstance(value, int | float):
        for found in _IN_TITLE.findall(title):
            if decimal(re.sub(r"[^\d.]", "", found)) == number:
                return str(found)
    beside = arguments.get(f"{name}_currency", arguments.get("currency"))
    if not currency and isinstance(beside, str) and name.rsplit("_", 1)[-1] in _NAMES:
        currency = beside if _code(beside) else ""
    return written(number, currency) if currency else ""


def written(number: Decimal, currency: str) -> str:
    """``€1,250.00``; as many places as the amount has, and never fewer than the currency's."""
    exponent = number.as_tuple().exponent
    places = max(_PLACES.get(currency.upper(), 2), -exponent if isinstance(exponent, int) else 0)
    sign, text = ("−" if number < 0 else ""), f"{abs(number):,.{min(places, 12)}f}"
    symbol = _SIGNS.get(currency.upper())
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency[:12]}".strip()


def decimal(value: Json) -> Decimal | None:
    """A finite number of sensible size, from a number or a text that is nothing but one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,12})?", value):
        return None
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number) < Decimal(10) ** 18 else None


def _code(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z]{3}", text))


def about(content: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """The JSON schema of one argument; empty where the tool has none."""
    schema = content.get("schema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else {}
