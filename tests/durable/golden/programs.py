"""The programs whose runs were recorded. Like the journals, they are not to be changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from console.durable import (
    Call,
    Decision,
    Done,
    EffectFailed,
    Gate,
    History,
    Json,
    Kind,
    Run,
    Safety,
    Verdict,
)

Body = Callable[[Call], Awaitable[Done]]
Main = Callable[[Run], Awaitable[Json]]
Act = Callable[[str, int, Json], Awaitable[Done]]


NAMES = ("conversation", "branches", "oversight")


def programs(act: Act) -> dict[str, Main]:
    """By name. ``act`` is what an effect does: given scope, n and edited arguments."""

    async def body(call: Call) -> Done:
        return await act(call.scope, call.n, call.arguments)

    async def conversation(run: Run) -> Json:
        """A growing history, a failed tool, a failure told to the team."""
        history = History()
        messages: list[Json] = [{"role": "user", "content": "refund order 7, naïve – 合気道 🙂 \u0000"}]
        for turn in range(3):
            request, key = history.request(messages, {"tools": [{"name": "look_up"}]})
            said = await run.effect(
                "clerk/model", kind=Kind.MODEL, request=request, digest=key, body=body, name="m-1", agent="clerk"
            )
            messages.append({"role": "assistant", "content": said.value})
            try:
                found = await run.effect(
                    "clerk/tools", kind=Kind.TOOL, request={"order": turn}, body=body, name="look_up", agent="clerk"
                )
                messages.append({"role": "tool", "content": found.value, "failed": found.failed})
            except EffectFailed as failed:
                messages.append({"role": "tool", "content": str(failed)})
        return [messages, run.now().isoformat(), run.at.isoformat()]

    async def branches(run: Run) -> Json:
        """Parallel branches: what each sees depends on the order of all."""
        log: list[str] = []

        async def branch(name: str) -> None:
            for step in range(4):
                await run.effect(f"{name}/model", kind=Kind.MODEL, request=[step, list(log)], body=body)
                log.append(f"{name}{step}")

        await asyncio.gather(*(branch(name) for name in "abc"))
        return log

    async def oversight(run: Run) -> Json:
        """Every kind of gate and verdict, and an effect in doubt."""
        log: list[Json] = []
        for amount in range(5):
            arguments = {"amount": amount}
            settled = await run.effect(
                "payer/tools",
                kind=Kind.TOOL,
                request=arguments,
                body=body,
                safety=Safety.NEITHER,
                name="pay",
                agent="payer",
                timeout=timedelta(minutes=1),
                gate=Gate("tool", {"tool": "pay", "arguments": arguments}, "payer", "pay", arguments),
            )
            log.append([settled.value, settled.decision and settled.decision.verdict, settled.failed])
        message = await run.gate("payer/message", Gate("message", "I paid.", agent="payer"))
        question = await run.gate("person", Gate("question", "All well?"))
        final = await run.gate("team/final", Gate("final", log))
        mailed = await run.effect(
            "mail", kind=Kind.TOOL, request="bye", body=body, safety=Safety.IDEMPOTENT, key="mail/bye"
        )
        return [log, message.answer, question.answer, final.verdict, mailed.value]

    return {"conversation": conversation, "branches": branches, "oversight": oversight}


def verdict(amount: int) -> Verdict:
    """The policy of ``oversight``."""
    if amount == 0:
        return Verdict("allow", "small", {"rule": "small"})
    return Verdict("deny", "odd") if amount == 1 else Verdict("require")


DECISIONS = {
    ("payer/tools/review", 3): Decision("approve", by="maria"),
    ("payer/tools/review", 4): Decision("edit", "less", arguments={"amount": 1}, by="maria"),
    ("payer/tools/review", 5): Decision("reject", "no more", by="jonas"),
    ("payer/tools/doubt", 3): Decision("respond", answer="happened", result={"id": 9}, by="maria"),
    ("payer/message", 1): Decision("edit", answer="We paid.", by="maria"),
    ("person", 1): Decision("respond", answer="yes", by="jonas"),
    ("team/final", 1): Decision("approve", by="maria"),
}
