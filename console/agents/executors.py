"""Code executors: a model's code in a container that is bounded in memory, time and network. Never on this machine itself.

AutoGen's DockerCommandLineCodeExecutor makes the container; it has no bounds of its own, so they are put into the one
call of Docker's API that creates it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock

from console.agents.tools import Unavailable, clip

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "Python source; what it prints is the result."}},
    "required": ["code"],
    "additionalProperties": False,
}

LANGUAGES = ("python", "sh", "bash")
# As an agent that only executes code calls it: what such an agent is given says the language of each block.
WITH_LANGUAGE: dict[str, Any] = {
    **SCHEMA,
    "properties": {**SCHEMA["properties"], "language": {"enum": list(LANGUAGES), "description": "Without it, Python."}},
}


@dataclass(frozen=True)
class Bounds:
    """What a container may take. ``memory`` as Docker writes it ("512m"), ``seconds`` for one execution."""

    image: str
    memory: str
    network: bool
    seconds: float


_bounds: contextvars.ContextVar[Bounds] = contextvars.ContextVar("sayso_bounds")


class _Containers:
    """Docker's containers, created with the bounds of the moment."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def create(self, *args: Any, **options: Any) -> Any:
        bounds = _bounds.get()
        return self._real.create(
            *args,
            **options,
            mem_limit=bounds.memory,
            memswap_limit=bounds.memory,
            network_disabled=not bounds.network,
            pids_limit=128,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Client:
    """Docker's client, whose containers are bounded."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.containers = _Containers(real.containers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Docker:
    """The docker module as AutoGen's executor uses it."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def from_env(self) -> _Client:
        return _Client(self._real.from_env())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@lru_cache(maxsize=1)
def _executor() -> Any:
    """AutoGen's module with the executor, its Docker bounded. Imported here: few processes need it, and the docker
    package is optional. Raises Unavailable without it."""
    try:
        module = import_module("autogen_ext.code_executors.docker._docker_code_executor")
        module.docker = _Docker(module.docker)  # type: ignore[attr-defined]
    except (ImportError, AttributeError) as error:
        raise Unavailable(f"the Python package for Docker is not installed ({error})") from error
    return module


def state() -> str:
    """Why code cannot be executed here, or an empty text. Asks Docker, so it may take a moment."""
    missing = _missing_socket()
    if missing:
        return f"Code cannot be executed: Docker is not there ({missing} does not exist)."
    try:
        _executor().docker.from_env().ping()
    except Exception as error:  # whatever keeps Docker from answering, people should read it
        return f"Code cannot be executed: Docker is not there ({clip(str(error), 160)})."
    return ""


def _missing_socket() -> str:
    """The path of Docker's socket where there is none. Docker's client leaves a socket open for each that it fails to
    connect, for the garbage collector to complain about; so it is not asked in vain."""
    scheme, _, path = (os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").partition("://")
    return path if scheme == "unix" and not os.path.exists(path) else ""


async def execute(bounds: Bounds, code: str, language: str = "python") -> dict[str, Any]:
    """Execute code in a fresh container; its exit code and output. Raises Unavailable when there is no Docker."""
    _bounds.set(bounds)
    missing = _missing_socket()
    if missing:
        raise Unavailable(f"Docker is not there: {missing} does not exist")
    make = _executor().DockerCommandLineCodeExecutor
    executor = make(image=bounds.image, timeout=max(1, int(bounds.seconds)), auto_remove=True)
    try:
        await executor.start()
    except Exception as error:
        raise Unavailable(f"Docker is not there, or has no image {bounds.image}: {clip(str(error), 300)}") from error
    try:
        result = await executor.execute_code_blocks([CodeBlock(code=code, language=language)], CancellationToken())
        return {"exit_code": result.exit_code, "output": result.output}
    finally:
        await asyncio.shield(executor.stop())
