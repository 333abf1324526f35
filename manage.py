#!/usr/bin/env python3
"""Sayso's two commands, `up` and `test`; every other one is Django's. Works on a machine with Python 3.11 and nothing else."""

import gc
import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the point is to say so on an old Python
    sys.stderr.write("Sayso needs Python 3.11 or newer; this is Python %d.%d.\n" % sys.version_info[:2])  # noqa: UP031
    sys.exit(2)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from console.up import bootstrap  # noqa: E402


def main(arguments: list[str]) -> int:
    """Run the command line ``arguments`` (without the program's name); returns the exit code."""
    gc.set_threshold(
        20_000, 10, 10
    )  # of what imports and migrations make most stays: a third of their time was looking
    bootstrap.enter(arguments)
    from console.up import cli  # needs what the bootstrap installs

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
