"""Which topics a revision is subscribed to, by AutoGen's rules: ``topics`` in its body is a list of texts.

    "support_ticket"    TypeSubscription: the topic's type is exactly this
    "support_*"         TypePrefixSubscription: the topic's type begins with this; "*" alone is every topic

A topic's source plays no part in matching: it becomes the run's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

LONGEST = 100  # characters of a topic's type
MOST = 100  # subscriptions of one revision
_TYPE = re.compile(r"[\w\-.:=]+\Z")  # as autogen_core.TopicId has it
_SIGNS = "letters, digits and _ - . : = only"


def type_fault(topic_type: str) -> str | None:
    """What is wrong with a topic's type, or None."""
    if len(topic_type) > LONGEST:
        return f"must be a topic type of at most {LONGEST} characters"
    return None if _TYPE.match(topic_type) else f"must be a topic type: {_SIGNS}"


def faults(value: Any) -> Iterable[tuple[str, str]]:
    """(path below, message) of everything that is wrong with a body's ``topics``."""
    if not isinstance(value, list):
        yield "", 'must be a list of topic types and prefixes, such as ["support_ticket", "billing_*"]'
        return
    if len(value) > MOST:
        yield "", f"must be at most {MOST} topic types and prefixes"
    for place, topic in enumerate(value):
        said = _fault(topic)
        if said:
            yield f"[{place}]", said


def spellings(topic_type: str) -> list[str]:
    """Every text in ``topics`` that subscribes to this type: itself, and each prefix of it with a star."""
    return [topic_type, *(f"{topic_type[:length]}*" for length in range(len(topic_type) + 1))]


def _fault(topic: Any) -> str | None:
    if not isinstance(topic, str) or not topic:
        return "must be a topic type such as support_ticket, or a prefix such as support_*"
    if len(topic) > LONGEST:
        return f"must be at most {LONGEST} characters"
    if topic == "*" or _TYPE.match(topic.removesuffix("*")):
        return None
    if "*" in topic[:-1]:
        return "may have one * only, at its end: then it is a prefix"
    return f"may hold {_SIGNS}, and a * at its end for a prefix"
