"""Why a run ended: one enum, with a sentence, a remedy, and what may be done about it.

AutoGen's own words stay beside it in ``Run.stop_detail``. It is here because a workflow says what its runs should come to.
"""

from dataclasses import dataclass
from enum import StrEnum

COMPLETED, CANCELLED, FAILED = "completed", "cancelled", "failed"  # as a run's status has them


class StopReason(StrEnum):
    """Every way in which a run can be over."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    MAX_TURNS = "max_turns"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    REPETITION = "repetition"
    MODEL_ERROR = "model_error"
    TOOL_ERROR = "tool_error"
    REJECTED = "rejected"
    EXPIRED = "expired"
    INVALID_INPUT = "invalid_input"
    CONTRACT_VIOLATION = "contract_violation"
    WORKER_LOST = "worker_lost"
    DIVERGENCE = "divergence"

    @property
    def about(self) -> "About":
        """What is to be said about this reason."""
        return ABOUT[self]


@dataclass(frozen=True, slots=True)
class About:
    """``sentence`` says what happened, ``remedy`` what to do next. ``limit`` names the limits whose raising allows a
    retry. ``abnormal`` reasons are counted as faults by dashboards and alerts; a person's no is not one."""

    status: str
    sentence: str
    remedy: str = ""
    retryable: bool = False
    abnormal: bool = True
    limit: tuple[str, ...] = ()


ABOUT: dict[StopReason, About] = {
    StopReason.COMPLETED: About(COMPLETED, "The team finished its work.", abnormal=False),
    StopReason.CANCELLED: About(
        CANCELLED,
        "An operator cancelled the run.",
        "Retry it to go on after the last good step.",
        retryable=True,
        abnormal=False,
    ),
    StopReason.TERMINATED: About(
        CANCELLED,
        "A reviewer ended the run.",
        "Start a new run if the work is still wanted, or fork this one from a step before that.",
        abnormal=False,
    ),
    StopReason.MAX_TURNS: About(
        FAILED,
        "The team used up its turns before it was done.",
        "Raise max_turns in a new revision, then retry.",
        limit=("max_turns",),
    ),
    StopReason.TIMEOUT: About(
        FAILED,
        "The run, or an agent's turn in it, took longer than its limit allows; waiting for people does not count.",
        "Raise run_timeout or turn_timeout in a new revision, then retry.",
        limit=("run_timeout", "turn_timeout"),
    ),
    StopReason.BUDGET: About(
        FAILED,
        "The run reached its limit of tokens or cost.",
        "Raise max_tokens or max_cost in a new revision, then retry.",
        limit=("max_tokens", "max_cost"),
    ),
    StopReason.REPETITION: About(
        FAILED,
        "The team kept doing the same thing.",
        "Fork it from a step before that with an edited answer, or change the team's instructions and start a new run.",
    ),
    StopReason.MODEL_ERROR: About(
        FAILED,
        "A model did not give a usable answer.",
        "Check the credential and the provider, then retry: what was done is kept.",
        retryable=True,
    ),
    StopReason.TOOL_ERROR: About(
        FAILED,
        "A tool failed.",
        "Check the tool, then retry: what was done is kept.",
        retryable=True,
    ),
    StopReason.REJECTED: About(
        FAILED,
        "A reviewer rejected the result.",
        "A person said no, so the run cannot be retried; fork it from an earlier step, or start a new one with what was learned.",
        abnormal=False,
    ),
    StopReason.EXPIRED: About(
        FAILED,
        "Nobody decided in time.",
        "Retry it to ask again.",
        retryable=True,
    ),
    StopReason.INVALID_INPUT: About(
        FAILED,
        "The run could not begin with what it was given.",
        "Correct the workflow and start a new run, or fork this one from its first step with another input.",
    ),
    StopReason.CONTRACT_VIOLATION: About(
        FAILED,
        "The result does not fit the workflow's output contract.",
        "Fork it from a step before the result, or change the team or the contract in a new revision and start a new run.",
    ),
    StopReason.WORKER_LOST: About(
        FAILED,
        "Three workers in a row were lost while they held the run.",
        "Look into the workers' memory and logs, then retry: what was done is kept.",
        retryable=True,
    ),
    StopReason.DIVERGENCE: About(
        FAILED,
        "On going on, the team did not ask for what it had asked before.",
        "The record is kept as it is; fork the run at a step before the difference.",
    ),
}
