"""Durable runs: a program that talks to the world through recorded effects, and can be taken up again anywhere.

A *run* is an ordinary coroutine, ``main``, with any number of tasks of its own. All it does to the world, and all that
the world tells it, goes through ``Run.effect`` and ``Run.gate``, and each of these is a *step* in the run's *journal*.
To take a run up again is to call ``main`` once more and hand it the recorded results: nothing else is ever saved.

Read it in this order:

``steps``       the nouns: Step, Done, Decision, Ask, and the protocols Journal, Gates and Observer that the host hands in
``loop``        an event loop that knows exactly when a run has settled
``run``         what a team sees of its run (effect, gate, now, stop), and the replay of the record
``live``        effects and gates that are not in the record: done, recorded, queued for the team; doubt
``doubt``       effects of which nobody knows whether they happened
``bodies``      one execution of an effect, and what can become of it
``flight``      the tasks of effects and consultations that are under way
``book``        the journal as ``live`` writes it: one write at a time
``engine``      ``advance``: one worker's turn with a run; teardown; Handle, another's hand on it
``digest``      canonical JSON, and requests kept as their difference from the one before
``memory``      journal and gates in memory
``failpoints``  where tests kill the process

A step is known by its scope (a path that the team gives) and its number n there, from 1. A gate before an effect is a
step of its own at ``<scope>/review``, same n; a person is asked about an effect in doubt under ``<scope>/doubt`` (the
second time ``/doubt/2``), and the answer goes into the effect's own step.

What holds, whatever crashes when:

- A result is durable before the team sees it, and the team sees results in the order of the journal, one at a time,
  each when it has settled after the one before. So a replay is the run over again, parallel branches included.
- Nothing live happens (no effect, no question to the policy, no decision) before all of the record is handed back.
- What is recorded is not done again. What is not read-only is recorded as an intent before it is done; an intent
  without an outcome is called again with the same key where that is safe, and else a person says what happened.
- A run that waits for a person is nowhere: no task, no memory. It is torn down from outside, because a team that is
  interrupted by an exception may never come to rest.

Exceptions::

    DurableError
    +-- Fenced          from a journal: the token is stale; advance returns Lost
    +-- EffectFailed    from a body: how it failed; from Run.effect: what is recorded of that
    +-- OutcomeUnknown  from a body: it may have happened, nobody knows; a person is asked where that matters
    +-- NotInRun        from current(), outside a run

All else that ends a run is an outcome of ``advance``: Finished, Stopped, Suspended or Lost.
"""

from .bodies import Call
from .digest import History, canonical, digest, expand
from .engine import Handle, advance
from .errors import DurableError, EffectFailed, Fenced, NotInRun, OutcomeUnknown
from .loop import DropTornDown, Loop, new_loop
from .memory import MemoryGates, MemoryJournal, MemoryStore
from .run import REVIEW, Run, Settled, current
from .steps import (
    Ask,
    Decision,
    Done,
    Finished,
    Gate,
    Gates,
    Journal,
    Json,
    Kind,
    Lost,
    Observer,
    Outcome,
    Safety,
    Status,
    Step,
    Stopped,
    Suspended,
    Verdict,
)

SCHEMA_VERSION = 1  # of the steps in a journal; a golden journal of each version must replay for ever

__all__ = [
    "REVIEW",
    "SCHEMA_VERSION",
    "Ask",
    "Call",
    "Decision",
    "Done",
    "DropTornDown",
    "DurableError",
    "EffectFailed",
    "Fenced",
    "Finished",
    "Gate",
    "Gates",
    "Handle",
    "History",
    "Journal",
    "Json",
    "Kind",
    "Loop",
    "Lost",
    "MemoryGates",
    "MemoryJournal",
    "MemoryStore",
    "NotInRun",
    "Observer",
    "Outcome",
    "OutcomeUnknown",
    "Run",
    "Safety",
    "Settled",
    "Status",
    "Step",
    "Stopped",
    "Suspended",
    "Verdict",
    "advance",
    "canonical",
    "current",
    "digest",
    "expand",
    "new_loop",
]
