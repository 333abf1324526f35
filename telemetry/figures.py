"""Every figure that can be asked for, by name: what it means, in which unit, and out of which rollup it is made."""

from __future__ import annotations

from dataclasses import dataclass

from telemetry.windows import BadQuery

RUNS, STEPS, APPROVALS = "telemetry_runrollup", "telemetry_steprollup", "telemetry_approvalrollup"

# What a figure of a table can be split by: a cut of it, its part, or what every row has.
SPLITS = {
    RUNS: ("workflow", "revision", "topic", "stop_reason"),
    STEPS: ("workflow", "revision", "agent", "model", "tool", "topic", "kind"),
    APPROVALS: ("workflow", "rule", "group", "reviewer", "tool", "agent", "verdict"),
}
PARTS = {RUNS: "stop_reason", STEPS: "kind", APPROVALS: "verdict"}
PLATFORM_CUTS = ("all", "model")  # what is kept across all tenants: nothing that a tenant has named


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure. ``unit``: count, share (0..1), seconds, dollars, tokens. ``sentence`` is shown beside it.

    ``sums`` are the measures that are added up, ``over`` those that it is divided by; or ``quantile`` of ``histogram``.
    ``parts`` are those of the rollup that it is made of (None: all). ``good`` says which way is better: "up", "down", "".
    """

    name: str
    title: str
    unit: str
    sentence: str
    table: str
    sums: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    histogram: str = ""
    quantile: float = 0.0
    parts: tuple[str, ...] | None = None
    good: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """What it can be split by."""
        return SPLITS[self.table]

    @property
    def scale(self) -> float:
        """What a sum is multiplied with to be in ``unit``."""
        return {"seconds": 1e-3, "dollars": 1e-6}.get(self.unit, 1.0)


def _percentiles(name: str, title: str, sentence: str, table: str, histogram: str, part: str = "") -> list[Figure]:
    parts = (part,) if part else None
    return [
        Figure(
            f"{name}_p{percent}", f"{title}, p{percent}", "seconds",
            f"{percent} of 100 {sentence} at most so long.", table,
            histogram=histogram, quantile=percent / 100, parts=parts, good="down",
        )
        for percent in (50, 95, 99)
    ]  # fmt: skip


_ALL = [
    Figure("runs", "Runs started", "count", "Runs that were made.", RUNS, ("started",)),
    Figure("ended", "Runs ended", "count", "Runs that came to their end, whichever.", RUNS, ("ended",)),
    Figure("completed", "Completed", "count", "Runs whose team finished its work.", RUNS, ("completed",), good="up"),
    Figure("failed", "Failed", "count", "Runs that ended as failed.", RUNS, ("failed",), good="down"),
    Figure("cancelled", "Cancelled", "count", "Runs that a person ended.", RUNS, ("cancelled",)),
    Figure("abnormal", "Ended badly", "count", "Runs that ended for a reason that somebody should look at.", RUNS,
           ("abnormal",), good="down"),
    Figure("abnormal_share", "Share ended badly", "share", "Of the runs that ended, those that ended badly.", RUNS,
           ("abnormal",), ("ended",), good="down"),
    Figure("retries", "Retries", "count", "Runs that went on from one that had failed.", RUNS, ("retries",)),
    Figure("forks", "Forks", "count", "Runs that were forked from another.", RUNS, ("forks",)),
    Figure("queue_time", "Time in the queue", "seconds", "Of the runs that ended: ready, with no worker yet.", RUNS,
           ("queue_ms",)),
    Figure("model_time", "Time of models", "seconds", "Of the runs that ended: at least one model at work.", RUNS,
           ("model_ms",)),
    Figure("tool_time", "Time of tools", "seconds", "Of the runs that ended: at least one tool at work.", RUNS,
           ("tool_ms",)),
    Figure("waiting_time", "Time waiting for people", "seconds", "Of the runs that ended: parked until a person decides.",
           RUNS, ("waiting_ms",)),
    Figure("resume_time", "Time of resuming", "seconds", "Of the runs that ended: replaying what was done.", RUNS,
           ("resume_ms",)),
    Figure("active_time", "Time held by workers", "seconds", "Of the runs that ended: machine time.", RUNS,
           ("active_ms",)),
    Figure("lost_cost", "Cost of calls broken off", "dollars", "Reckoned for model calls that were broken off.", RUNS,
           ("broken_off_micros",), good="down"),
    Figure("run_cost", "Cost of ended runs", "dollars", "What the runs that ended have cost, by why they ended.", RUNS,
           ("cost_micros",)),
    *_percentiles("machine", "Machine time of a run", "runs took a worker", RUNS, "machine"),
    *_percentiles("human", "Time a run waited for people", "runs that waited for a person did so", RUNS, "human"),
    *_percentiles("queue", "Time a run was in the queue", "runs were in the queue", RUNS, "queue"),
    *_percentiles("total", "Time from start to end", "runs took from start to end", RUNS, "total"),
    Figure("calls", "Model calls", "count", "Calls of a model that ended, whatever came of them.", STEPS, ("calls",),
           parts=("model",)),
    Figure("tool_calls", "Tool calls", "count", "Calls of a tool that ended, whatever came of them.", STEPS, ("calls",),
           parts=("tool",)),
    Figure("failed_calls", "Failed calls", "count", "Model and tool calls that failed.", STEPS, ("failed",),
           parts=("model", "tool"), good="down"),
    Figure("failed_share", "Share of failed calls", "share", "Of the model and tool calls, those that failed.", STEPS,
           ("failed",), ("calls",), parts=("model", "tool"), good="down"),
    Figure("tries_again", "Tries beyond the first", "count", "Calls that were tried again, each time.", STEPS, ("again",),
           parts=("model", "tool"), good="down"),
    Figure("fallbacks", "Fallbacks", "count", "Calls answered by another model than the one that was asked first.", STEPS,
           ("fallbacks",), parts=("model",), good="down"),
    Figure("input_tokens", "Input tokens", "tokens", "Tokens that models were sent.", STEPS, ("input_tokens",)),
    Figure("output_tokens", "Output tokens", "tokens", "Tokens that models answered with.", STEPS, ("output_tokens",)),
    Figure("cached_tokens", "Cached tokens", "tokens", "Of the input: read from the provider's cache.", STEPS,
           ("cached_tokens",)),
    Figure("reasoning_tokens", "Reasoning tokens", "tokens", "Of the output: thought, not said.", STEPS,
           ("reasoning_tokens",)),
    Figure("tokens", "Tokens", "tokens", "Input and output together.", STEPS, ("input_tokens", "output_tokens")),
    Figure("cost", "Cost", "dollars", "What calls have cost, when they ended. Unpriced calls are not in it.", STEPS,
           ("cost_micros",)),
    Figure("unpriced", "Unpriced calls", "count", "Calls of models whose price nobody knows: not free, but not in the cost.",
           STEPS, ("unpriced",), good="down"),
    Figure("odd", "Odd records", "count", "Calls whose times or usage cannot be as recorded, such as negative tokens.",
           STEPS, ("odd",), good="down"),
    *_percentiles("model", "Time of a model call", "model calls took", STEPS, "duration", "model"),
    *_percentiles("first_token", "Time to the first token", "model calls began to answer after", STEPS, "first_token",
                  "model"),
    *_percentiles("tool", "Time of a tool call", "tool calls took", STEPS, "duration", "tool"),
    Figure("raised", "Requests raised", "count", "Approval requests that were made.", APPROVALS, ("raised",)),
    Figure("opened", "Requests opened", "count", "Requests that somebody opened for the first time.", APPROVALS,
           ("opened",)),
    Figure("decided", "Requests decided", "count", "Requests that people decided; by reviewer, their votes.", APPROVALS,
           ("decided",)),
    Figure("expired", "Requests expired", "count", "Requests that nobody answered in time.", APPROVALS, ("expired",),
           good="down"),
    Figure("escalated", "Requests escalated", "count", "Requests that were passed on to others.", APPROVALS,
           ("escalated",)),
    Figure("moot", "Requests moot", "count", "Requests whose run ended before anybody answered.", APPROVALS, ("moot",)),
    Figure("unopened", "Decided unopened", "count",
           "Requests that were decided though nobody who voted had opened them; by reviewer, their votes without opening.",
           APPROVALS, ("unopened",), good="down"),
    Figure("unopened_share", "Share decided unopened", "share",
           "Of the requests that people decided; by reviewer, of their votes.", APPROVALS, ("unopened",), ("decided",),
           good="down"),
    *_percentiles("to_open", "Time to open", "requests were first opened after", APPROVALS, "to_open"),
    *_percentiles("to_decide", "Time to decide", "requests were decided, once opened, after", APPROVALS, "to_decide"),
    *_percentiles("wait", "Wait for a decision", "requests waited for their outcome", APPROVALS, "wait"),
]  # fmt: skip
FIGURES: dict[str, Figure] = {figure.name: figure for figure in _ALL}


def find(name: str, field: str = "figure") -> Figure:
    """A figure by its name. Raises BadQuery."""
    figure = FIGURES.get(name)
    if figure is None:
        raise BadQuery(field, f"is none of ours. Those are: {', '.join(FIGURES)}")
    return figure
