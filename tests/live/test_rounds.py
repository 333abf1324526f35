"""One look for all sockets of the same person on the same feed."""

from __future__ import annotations

import asyncio
from typing import Any

from console.live.rounds import FAILED, REVOKED, Rounds


class Tab:
    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.sent, self.asked = answers, [], 0  # type: ignore[var-annotated]

    async def base_send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def ending(self) -> dict[str, Any] | None:
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return None if answer else REVOKED


async def _all_done(rounds: Rounds) -> None:
    await asyncio.gather(*rounds._closing)


def test_all_tabs_of_who_was_revoked_are_closed_after_one_look_and_others_stay() -> None:
    async def main() -> None:
        rounds, answers = Rounds(every=3600), [True, False]
        tabs, other = [Tab(answers), Tab(answers)], Tab([])
        for tab in tabs:
            rounds.add("ann", tab)
        rounds.add("ben", other)
        await rounds.look("ann")
        assert sum(tab.asked for tab in tabs) == 1 and not any(tab.sent for tab in tabs)
        await rounds.look("ann")
        await rounds.look("ben")
        await _all_done(rounds)
        assert [tab.sent for tab in tabs] == [[REVOKED], [REVOKED]] and other.sent == []

    asyncio.run(main())


def test_where_it_cannot_be_told_pages_connect_again() -> None:
    async def main() -> None:
        rounds, tab = Rounds(every=3600), Tab([RuntimeError("the database is away")])
        rounds.add("ann", tab)
        await rounds.look("ann")
        await _all_done(rounds)
        assert tab.sent == [FAILED]
        rounds.remove("ann", tab)
        await rounds.look("ann")
        assert tab.asked == 1

    asyncio.run(main())


def test_each_is_looked_at_within_a_round() -> None:
    async def main() -> None:
        rounds, tabs = Rounds(every=0.01), [Tab([True] * 50) for _ in range(3)]
        for number, tab in enumerate(tabs):
            rounds.add(number, tab)
        while not all(tab.asked for tab in tabs):
            await asyncio.sleep(0)
        for number, tab in enumerate(tabs):
            rounds.remove(number, tab)

    asyncio.run(main())
