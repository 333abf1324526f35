"""docker-compose.yml names what the product needs, and every command in it leads somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery as celery_command
from django.core.management import get_commands

from console import queues
from console.up.bootstrap import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "sayso"]


def test_the_stores_and_every_process_are_named():
    assert {"postgres", "redis", "migrate", "web", "worker", "worker-payments", "beat"} == set(SERVICES)
    assert SERVICES["worker"]["deploy"]["replicas"] >= 2


def test_general_and_dedicated_workers_listen_to_their_queues():
    listens = {
        name: service["command"][service["command"].index("-Q") + 1]
        for name, service in SERVICES.items()
        if "worker" in service.get("command", ())
    }
    assert listens == {"worker": queues.DEFAULT, "worker-payments": "payments"}


@pytest.mark.parametrize("name", OURS)
def test_the_command_exists(name):
    program, *arguments = SERVICES[name]["command"]
    if program == "celery":
        assert Path(sys.executable).with_name("celery").exists()
        assert arguments[:2] == ["-A", "console.celery"] and arguments[2] in celery_command.commands
        assert importlib.import_module("console.celery").app.conf.include == ["console.worker"]
        command = celery_command.commands[arguments[2]]
        command.make_context(arguments[2], list(arguments[3:]), resilient_parsing=True)  # raises on an unknown option
        return
    assert program == "python"
    if arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None
        assert hasattr(importlib.import_module(arguments[1]), "main")
    else:
        assert (ROOT / arguments[0]).exists() and arguments[1] in get_commands()


@pytest.mark.parametrize("name", OURS)
def test_secrets_arrive_as_files_and_never_as_text(name):
    service = SERVICES[name]
    for variable in ("DATABASE_URL", "REDIS_URL", "SAYSO_SECRET_KEY", "SAYSO_MASTER_KEY"):
        assert variable not in service["environment"]
        secret = Path(service["environment"][f"{variable}_FILE"])
        assert secret.parent == Path("/run/secrets")
        assert secret.name in service["secrets"] and secret.name in COMPOSE["secrets"]


def test_what_an_image_copies_exists():
    inline = SERVICES["web"]["build"]["dockerfile_inline"]
    for line in inline.splitlines():
        if line.startswith("COPY"):
            assert all((ROOT / source).exists() for source in line.split()[1:-1])
    assert "secrets" in (ROOT / ".dockerignore").read_text().split()


def test_dependencies_name_services():
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def _docker_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    not _docker_compose(), reason="no docker compose here: the parsing above is all that can be checked"
)
def test_docker_itself_accepts_it():
    done = subprocess.run(["docker", "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
