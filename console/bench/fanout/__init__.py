"""``bench fanout``: one web process, its sockets in another process, and what stock Channels does with the same.

``measuring``  what is done and printed
``listeners``  the other process: sockets that only listen, and when each message reached them
``stock``      the baseline: a server that does the same with a Channels group
"""
