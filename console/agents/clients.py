"""The real model clients: expensive to make, so made once for each event loop and credential, and closed at the end."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from autogen_core.models import ChatCompletionClient, ModelInfo
from autogen_ext.models.openai import AZURE_OPENAI_USER_AGENT, BaseOpenAIChatCompletionClient
from autogen_ext.models.openai._model_info import (
    ANTHROPIC_OPENAI_BASE_URL,
    GEMINI_OPENAI_BASE_URL,
    LLAMA_API_BASE_URL,
    get_info,
)
from openai import DefaultAsyncHttpxClient, Timeout

from console.agents import quiet, telling, whence

# What a document may say about a model; where it is reached, and with which key, is the credential's business.
CREATE_ARGUMENTS = frozenset(
    (
        "model model_info add_name_prefixes include_name_in_message frequency_penalty logit_bias max_tokens timeout "
        "presence_penalty response_format seed stop temperature top_p user stream_options parallel_tool_calls "
        "reasoning_effort"
    ).split()
)

_OF_AUTOGEN = ("model_info", "add_name_prefixes", "include_name_in_message")  # the rest goes into each request
_PLACES = {"gemini-": GEMINI_OPENAI_BASE_URL, "claude-": ANTHROPIC_OPENAI_BASE_URL, "Llama-": LLAMA_API_BASE_URL}

CONNECTING = 5.0  # seconds in which a provider must take the connection; the call's own limit comes after that
MOST = 256  # clients that a process keeps
REST = 3600.0  # seconds for which a run may still hold a client that was let go

_SECRETS: WeakKeyDictionary[ChatCompletionClient, tuple[str, ...]] = WeakKeyDictionary()


def model_info(config: Mapping[str, Any]) -> ModelInfo:
    """What a model can do: as its document says, as AutoGen knows, or what any OpenAI-compatible model can."""
    safe = ModelInfo(vision=False, function_calling=True, json_output=True, family="unknown", structured_output=False)
    given = config.get("model_info")
    if given:
        return ModelInfo(**{**safe, **given})
    try:
        return get_info(str(config.get("model", "")))
    except (ValueError, KeyError):
        return safe


def secrets(client: ChatCompletionClient) -> tuple[str, ...]:
    """What must not be seen in an error of this client."""
    return _SECRETS.get(client, ())


class Clients:
    """The clients of one process: the last ``MOST`` that were asked for.

    Others are let go: a changed key leaves its old client behind. A run may still hold one, so it is closed only after
    ``REST``. It is closed by hand, since a collected client would start a task in whichever run met the collector.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[int, str, str, str], BaseOpenAIChatCompletionClient] = {}
        self._resting: dict[BaseOpenAIChatCompletionClient, asyncio.AbstractEventLoop] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(
        self,
        *,
        api_key: str,
        base_url: str | None,
        config: Mapping[str, Any],
        provider: str = "",
        options: Mapping[str, str] | None = None,
    ) -> ChatCompletionClient:
        """The client for this credential and model configuration on the running loop.

        ``provider`` "azure" makes an Azure OpenAI client; any other an OpenAI-compatible one. ``options``, for Azure:
        api_version, deployment (by default the model's name) and auth ("token": the key is an Entra ID token).
        """
        wanted = {name: value for name, value in config.items() if name in CREATE_ARGUMENTS and value is not None}
        loop = asyncio.get_running_loop()
        place = json.dumps([provider, options or {}, wanted], sort_keys=True)
        key = (id(loop), api_key, base_url or "", place)
        client = self._clients.pop(key, None)
        if client is None:
            # Made in an empty context: what it starts lazily must not belong to the run that happened to be first.
            client = contextvars.Context().run(make, api_key, base_url, wanted, provider, options or {})
        self._clients[key] = client  # the newest, behind all others
        if len(self._clients) > MOST:
            self._let_go(self._clients.pop(next(iter(self._clients))), loop)
        return client

    def _let_go(self, client: BaseOpenAIChatCompletionClient, loop: asyncio.AbstractEventLoop) -> None:
        self._resting[client] = loop
        loop.call_later(REST, self._put_away, client, loop, context=contextvars.Context())

    def _put_away(self, client: BaseOpenAIChatCompletionClient, loop: asyncio.AbstractEventLoop) -> None:
        if self._resting.pop(client, None) is not None:
            task = loop.create_task(client.close(), context=contextvars.Context())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close the clients of the running loop."""
        loop = asyncio.get_running_loop()
        for key in [key for key in self._clients if key[0] == id(loop)]:
            await self._clients.pop(key).close()
        for client in [client for client, its in self._resting.items() if its is loop]:
            del self._resting[client]
            await client.close()


def _timeout(config: Mapping[str, Any]) -> Timeout:
    """The document's limit or openai's own for a call, and for connecting never more than ``CONNECTING``."""
    given = config.get("timeout")
    seconds = float(given) if isinstance(given, int | float) and given > 0 else 600.0
    return Timeout(seconds, connect=min(CONNECTING, seconds))


def make(
    api_key: str,
    base_url: str | None,
    config: dict[str, Any],
    provider: str,
    options: Mapping[str, str],
    line: httpx.AsyncClient | None = None,
) -> BaseOpenAIChatCompletionClient:
    """A new client; ``line`` is what it asks through, its own where there is none. Call in an empty context."""
    # Retries are the journaled model's, which records each; the openai package's own would be invisible.
    common: dict[str, Any] = {"max_retries": 0, "timeout": _timeout(config)}
    common["http_client"] = line or DefaultAsyncHttpxClient(event_hooks={"request": [whence.tell]})
    heard: telling.OpenAI | telling.AzureOpenAI
    if provider == "azure":
        secret = "azure_ad_token" if options.get("auth") == "token" else "api_key"
        azure: dict[str, Any] = {
            secret: api_key,
            "azure_endpoint": base_url,
            "azure_deployment": options.get("deployment") or config.get("model"),
            "api_version": options.get("api_version"),
            "default_headers": {"User-Agent": AZURE_OPENAI_USER_AGENT},
        }
        heard = telling.AzureOpenAI(**common, **azure)
    else:
        heard = telling.OpenAI(**common, api_key=api_key, base_url=base_url or _place(str(config.get("model", ""))))
    asked = {name: value for name, value in config.items() if name not in _OF_AUTOGEN}
    client = BaseOpenAIChatCompletionClient(
        heard,
        create_args={**asked, "timeout": common["timeout"]},
        model_info=model_info(config),
        add_name_prefixes=config.get("add_name_prefixes", False),
        include_name_in_message=config.get("include_name_in_message", True),
    )
    quiet.trust_model_name(client)
    _SECRETS[client] = (api_key,)
    return client


def _place(model: str) -> str | None:
    """Where AutoGen looks for a model that is not OpenAI's, when nobody says where it is."""
    return next((place for prefix, place in _PLACES.items() if model.startswith(prefix)), None)
