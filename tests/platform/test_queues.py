"""`manage.py up --queues NAME=N`: what it starts."""

from __future__ import annotations

import pytest
from celery.bin.celery import celery as celery_command

from console import queues
from console.up import cli, workers


def test_general_workers_and_dedicated_ones():
    found = workers.commands(2, {"payments": 1, "eu.risk-1": 2})
    assert list(found) == ["worker1", "worker2", "payments-1", "eu.risk-1-1", "eu.risk-1-2"]
    listens, nodes = {}, set()
    for name, argv in found.items():
        program = argv[argv.index("worker") :]
        context = celery_command.commands["worker"].make_context("worker", program[1:], resilient_parsing=True)
        listens[name] = context.params["queues"]
        nodes.add(context.params["hostname"])
        assert " ".join(argv).index("celery ") < " ".join(argv).index(" worker ")
    assert listens == {
        "worker1": [queues.DEFAULT], "worker2": [queues.DEFAULT],
        "payments-1": ["payments"], "eu.risk-1-1": ["eu.risk-1"], "eu.risk-1-2": ["eu.risk-1"],
    }  # fmt: skip
    assert len(nodes) == 5


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], {}),
        (["--queues", "payments=2"], {"payments": 2}),
        (["--queues", "payments=2", "audit=1"], {"payments": 2, "audit": 1}),
        (["--queues", "payments=2", "--workers", "3", "--queues=audit=1"], {"payments": 2, "audit": 1}),
    ],
)
def test_the_command_line(line, expected):
    assert cli._options(line).queues == expected


@pytest.mark.parametrize(
    "text", ["payments", "payments=", "payments=0", "payments=65", "payments=x", "=1", "a b=1", "a,b=1", "celery=1"]
)
def test_a_command_line_that_makes_no_sense(text, capsys):
    with pytest.raises(SystemExit):
        cli._options(["--queues", text])
    assert "--queues" in capsys.readouterr().err


def test_each_queue_once(capsys):
    with pytest.raises(SystemExit):
        cli._options(["--queues", "a=1", "a=2"])
    assert "each queue once" in capsys.readouterr().err
