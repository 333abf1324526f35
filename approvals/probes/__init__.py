"""Oversight probes: known-bad requests that an admin plants in the queue, to see whether they are caught.

    defining.py    what a probe is: a call that a person ought to stop, why, and what counts as a catch
    planting.py    putting one into the queue, now or on a schedule; its bounds
    judging.py     whether a verdict is a catch. Pure
    telling.py     what the card says of it, once it is over and only then

What became of one (caught, missed, expired, withdrawn) is written where requests are settled, in actions/concluding.py.

A planted request looks like any other and goes through the same rules and the same ``decide``. It is inert by
construction: the run behind it can be neither queued, claimed nor woken, which the database itself refuses (see
console/runs/decoys.py), so there is nothing that could call a tool, whatever is decided.
"""
