"""Stock AutoGen in a process of its own: ``python -m console.bench.plain``, the baseline of ``bench concurrency``.

It makes itself warm, says ``ready``, waits for a line, runs its teams side by side on asyncio's own loop, and prints one
line of JSON: ``{"ended": <seconds since the epoch>, "cpu": <seconds>, "messages": <of all teams>}``. With ``--url`` the
teams are clerks that ask a model server through AutoGen's OpenAI client; they share one, as a worker's runs do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Team
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import ChatCompletionClient, ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

from console import startup
from console.agents import quiet
from console.bench import scripted

WARM = 3  # teams that do not count
# Of the baseline's collector: more rarely than Python's own, as in a worker, and not so rarely as there; it leaves more behind,
# and would lose by it.
COLLECTOR = (20_000, 20, 50)
CLERK = "You are the clerk of the benchmark: {turns} look-ups."


async def lookup_order(order: str) -> str:
    """Look an order up."""
    return f"{order}: 3 chairs, sent on Monday"


async def calculator(a: float, b: float, operator: str) -> str:
    """Do arithmetic."""
    return str(a + b)


def clerk(client: ChatCompletionClient, calls: int) -> Team:
    """A team that makes so many model calls: look-ups, a sum, and the last word."""
    agent = AssistantAgent(
        "clerk",
        client,
        tools=[lookup_order, calculator],
        system_message=CLERK.format(turns=calls - 2),
        reflect_on_tool_use=False,
    )
    return RoundRobinGroupChat([agent], termination_condition=TextMentionTermination("TERMINATE"))


async def side_by_side(make: Callable[[], Team], count: int) -> int:
    """Build and run so many teams at once; how many messages they told."""

    async def one() -> int:
        return len((await make().run(task="Keep notes.")).messages)

    return sum(await asyncio.gather(*(one() for _ in range(count))))


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--latency", type=int, default=0)
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    with asyncio.Runner() as runner, quiet.loud():
        make: Callable[[], Team]
        if given.url:
            info = ModelInfo(
                vision=False, function_calling=True, json_output=True, family="unknown", structured_output=False
            )
            client = OpenAIChatCompletionClient(
                model="gpt-4o-mini", base_url=given.url, api_key="demo-bench", model_info=info
            )
            make = lambda: clerk(client, given.calls)  # noqa: E731
        else:
            make = lambda: scripted.stock_team(given.calls, given.latency)  # noqa: E731
        runner.run(side_by_side(make, WARM))
        startup.settle(COLLECTOR)
        print("ready", flush=True)
        for _ in sys.stdin:
            began = time.process_time()
            messages = runner.run(side_by_side(make, given.runs))
            told = {"ended": time.time(), "cpu": time.process_time() - began, "messages": messages}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
