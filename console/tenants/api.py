"""Who a token is, and a tenant's credentials. A credential's key goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict

from console.tenants import access, actions
from console.tenants.access import actor_of
from console.tenants.models import Credential

router = Router(tags=["tenants"])


class CredentialIn(Schema):
    """An empty ``api_key`` keeps the one there is, as long as ``base_url`` stays the same."""

    model_config = ConfigDict(extra="forbid")

    provider: str
    base_url: str = ""
    api_key: str = ""
    region: str = ""
    zone: str = ""
    api_version: str = ""
    deployment: str = ""
    auth: str = ""


class CredentialOut(Schema):
    """``zone`` says whose rules hold where the provider works. The last three are Azure OpenAI's."""

    name: str
    provider: str
    base_url: str
    region: str
    zone: str
    api_version: str
    deployment: str
    auth: str
    has_key: bool
    updated_at: datetime
    updated_by: str
    last_used_at: datetime | None


class CredentialsOut(Schema):
    items: list[CredentialOut]
    next: str | None


class MeOut(Schema):
    tenant: str
    role: str
    name: str


@router.get("/me", response=MeOut, summary="Whose token this is")
def who_am_i(request: HttpRequest) -> Any:
    actor = actor_of(request)
    return {"tenant": actor.tenant.slug, "role": actor.role, "name": actor.name}


@router.get("/credentials", response=CredentialsOut, summary="All credentials, without their keys")
def list_credentials(request: HttpRequest) -> Any:
    actor = actor_of(request)
    access.require(actor, "admin")
    return {"items": [_out(each) for each in access.all(Credential, actor).order_by("name")], "next": None}


@router.get("/credentials/{name}", response=CredentialOut, summary="A credential, without its key")
def get_credential(request: HttpRequest, name: str) -> Any:
    actor = actor_of(request)
    credential = access.get(Credential, actor, name=name)
    access.require(actor, "admin")
    return _out(credential)


@router.put("/credentials/{name}", response=CredentialOut, summary="Make or replace a credential")
def put_credential(request: HttpRequest, name: str, body: CredentialIn) -> Any:
    actor = actor_of(request)
    saved = actions.put_credential(actor, name, **body.dict())
    return _out(saved)


def _out(credential: Credential) -> dict[str, Any]:
    return {
        "name": credential.name,
        "provider": credential.provider,
        "base_url": credential.base_url,
        "region": credential.region,
        "zone": credential.zone,
        **{option: credential.options.get(option, "") for option in actions.AZURE},
        "has_key": bool(credential.sealed_key),
        "updated_at": credential.updated_at,
        "updated_by": credential.updated_by,
        "last_used_at": credential.last_used_at,
    }
