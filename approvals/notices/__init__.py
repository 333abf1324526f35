"""Reaching people outside the console: channels, the outbox, and what carries a notice out.

1. ``outbox.note`` writes a notice in the transaction of the change that it tells of.
2. ``spreading`` turns a notice into deliveries: one for each channel, and one for each person, who asked for it.
3. ``sending`` hands each delivery to its transport, and tries again with growing pauses until it is taken or given up.

Every link leads to the card of a request, never to a verdict.
"""
