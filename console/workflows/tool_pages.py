"""The catalogue as people see it: which tools there are, what each may do, and the form that registers one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from console.agents import executors
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import registration, tool_actions
from console.workflows.errors import Refused
from console.workflows.tool_api import newest, tool_out

Json = Any
FIELDS = ("kind", "url", "command", "description", "effect", "risk", "approval", "owner", "title", "timeout", "image",
          "memory", "schema", "secrets", "network", "action", "action_scope")  # fmt: skip
_PLAIN = ("url", "command", "description", "effect", "risk", "approval", "owner", "title", "timeout", "image", "memory",
          "action", "action_scope")  # fmt: skip


@sensitive_post_parameters("secrets")
@require_http_methods(["GET", "HEAD", "POST"])
def tools(request: HttpRequest) -> HttpResponse:
    """Every tool of the tenant, and the form for another, or for another version of one."""
    actor = actor_of(request)
    errors: dict[str, str] = {}
    typed: dict[str, str] = {}
    if request.method == "POST":
        access.require(actor, "admin")
        typed = {field: request.POST.get(field, "").strip() for field in (*FIELDS, "name")}
        errors = _put(actor, typed)
        if not errors:
            return redirect("/tools/?" + urlencode({"saved": typed["name"]}))
    docker = cache(executors.state)
    found = [tool_out(actor, *each, docker) for each in newest(actor)]
    context = {
        "section": "tools",
        "tools": found,
        "typed": typed,
        "errors": errors,
        "saved": request.GET.get("saved", "")[:64],
        "no_docker": next((tool["why"] for tool in found if tool["why"]), ""),
        "effects": registration.EFFECTS,
        "risks": registration.RISKS,
    }
    return render(request, "workflows/tools.html", context, status=422 if errors else 200)


@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """Revoke a tool, or reinstate it."""
    actor = actor_of(request)
    if request.POST.get("do") == "reinstate":
        tool_actions.reinstate(actor, name)
    else:
        tool_actions.revoke(actor, name, request.POST.get("reason", ""))
    return redirect("tools")


def _put(actor: Actor, typed: Mapping[str, str]) -> dict[str, str]:
    """Faults by field; none when it is registered."""
    body: dict[str, Json] = {"kind": typed["kind"], **{name: typed[name] for name in _PLAIN if typed[name]}}
    if typed["kind"] == "http":
        try:
            body["schema"] = json.loads(typed["schema"] or "null")
        except (ValueError, RecursionError) as error:
            return {"schema": f"It is no JSON: {error}."}
    if typed["kind"] == "code":
        body["network"] = typed["network"] == "yes"
    if not typed["action"]:
        body.pop("action_scope", None)  # the form always says one
    if typed["secrets"]:
        field = "env" if body.get("command") else "headers"
        pairs = [line.partition(":") for line in typed["secrets"].splitlines() if line.strip()]
        body[field] = {name.strip(): value.strip() for name, _, value in pairs}
    keep = registration.allowed(typed["kind"])
    try:
        tool_actions.put_tool(actor, typed["name"], {key: value for key, value in body.items() if key in keep})
    except Refused as refused:
        return {_field(each.path): f"It {each.message}." for each in refused.findings}
    return {}


def _field(path: str) -> str:
    name = path.removeprefix("$.").split(".")[0].split("[")[0]
    return "secrets" if name in registration.SECRETS else name
