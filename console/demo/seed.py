"""The demo's tenants, people, tokens, credentials and workflows; made once, found again by everybody who knows the key.

Passwords and tokens are derived from the instance's secret key, so that ``manage.py demo`` can print them at any time
and two instances never share one. Seeding again changes nothing that is there, and nothing that people changed since.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.utils import timezone

from console.demo.documents import WORKFLOWS
from console.tenants import access, actions, group_actions, groups
from console.tenants.access import Actor
from console.tenants.models import ApiToken, Credential, Membership, Role, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.tenants.tokens import digest_of
from console.workflows import actions as workflows
from console.workflows import waivers
from console.workflows.models import Workflow
from console.workflows.oversight import says_never

WAIVED_FOR = timedelta(days=180)
ASSESSMENT = (
    "What the team says reaches nobody outside, and it cannot act by itself: each of its actions waits for a person, who sees "
    "the exact arguments. A wrong closing report is noticed by the colleague who reads it, and can be corrected. Without a "
    "review the worst is a wrong sentence in the file; limits on turns and tokens end a team that talks in circles."
)
PLATFORM_ADMIN = "petra"
TOKEN_ROLES = (Role.ADMIN, Role.OPERATOR, Role.REVIEWER)


@dataclass(frozen=True)
class Person:
    """A member of a demo tenant."""

    username: str
    first: str
    last: str
    role: str


@dataclass(frozen=True)
class House:
    """A demo tenant and its people. The first of a role holds the role's API token."""

    slug: str
    name: str
    people: tuple[Person, ...]


HOUSES = (
    House(
        "northwind",
        "Northwind",
        (
            Person("rita", "Rita", "Lindqvist", Role.REVIEWER),
            Person("raj", "Raj", "Malhotra", Role.REVIEWER),
            Person("olga", "Olga", "Petrova", Role.OPERATOR),
            Person("ada", "Ada", "Moreau", Role.ADMIN),
            Person("ari", "Ari", "Virtanen", Role.ADMIN),
        ),
    ),
    House(
        "fabrikam",
        "Fabrikam",
        (
            Person("felix", "Felix", "Brandt", Role.REVIEWER),
            Person("fay", "Fay", "Okafor", Role.REVIEWER),
            Person("otto", "Otto", "Jensen", Role.OPERATOR),
            Person("amira", "Amira", "Haddad", Role.ADMIN),
            Person("astrid", "Astrid", "Holm", Role.ADMIN),
        ),
    ),
)


# What each is for, and how many of the house's reviewers are in it.
GROUPS = {
    "finance": ("Money that leaves the house", 2),
    "support": ("What customers read", 2),
    "on-call": ("Who is asked when nobody else answers", 1),
}


def seed() -> None:
    """Make what is missing. Call where the instance owns its stores, and nowhere else."""
    for house in HOUSES:
        furnish(house)
    _platform_admin()
    for tenant in _others():
        with tenant_scope(tenant):
            _credential(access.system_actor(tenant, "The demo"))


def furnish(house: House) -> Tenant:
    """Make what is missing of a house: the tenant, its people, groups, credential and workflows."""
    with system_scope("seeding the demo"):
        tenant = Tenant.objects.filter(slug=house.slug).first()
        tenant = tenant or actions.create_tenant(house.slug, house.name, is_demo=True, by="The demo")
    with tenant_scope(tenant):
        actor = access.system_actor(tenant, "The demo")
        _people(actor, house)
        _groups(actor, house)
        _credential(actor)
        _workflows(actor, house)
    return tenant


def _others() -> list[Tenant]:
    """Demo tenants that the history brought; see history.py. Their credential follows the demo model, too."""
    with system_scope("seeding the demo"):
        return list(Tenant.objects.filter(is_demo=True).exclude(slug__in=[house.slug for house in HOUSES]))


def password_of(person: Person) -> str:
    """Three groups of five letters and digits, as nobody would guess them."""
    return _password(person.username)


def _password(username: str) -> str:
    text = base64.b32encode(_derived(f"password:{username}")).decode().lower()
    return "-".join(text[start : start + 5] for start in (0, 5, 10))


def token_of(tenant: Tenant, role: str) -> str:
    """The whole API token of a role in a demo tenant."""
    return f"sayso_{tenant.id.hex}_{_token_secret(tenant, role)}"


def describe() -> dict[str, Any]:
    """What ``manage.py demo --json`` prints: the address, and every demo tenant's users, tokens and workflows.

    Tenants that were never seeded are left out.
    """
    with system_scope("describing the demo"):
        seeded = {tenant.slug: tenant for tenant in Tenant.objects.filter(is_demo=True)}
    tenants = []
    for house in HOUSES:
        tenant = seeded.get(house.slug)
        if tenant is None:
            continue
        tenants.append(
            {
                "slug": house.slug,
                "users": [
                    {"username": person.username, "password": password_of(person), "role": str(person.role)}
                    for person in house.people
                ],
                "tokens": {str(role): token_of(tenant, role) for role in TOKEN_ROLES},
                "workflows": [workflow.slug for workflow in WORKFLOWS],
            }
        )
    told: dict[str, Any] = {"url": settings.PUBLIC_URL, "tenants": tenants}
    if tenants and User.objects.filter(username=PLATFORM_ADMIN, is_superuser=True).exists():
        told["platform"] = {"username": PLATFORM_ADMIN, "password": _password(PLATFORM_ADMIN)}
    return told


def _derived(what: str) -> bytes:
    return hmac.new(settings.SECRET_KEY.encode(), f"sayso demo {what}".encode(), hashlib.sha256).digest()


def _token_secret(tenant: Tenant, role: str) -> str:
    return base64.urlsafe_b64encode(_derived(f"token:{tenant.id}:{role}")).decode().rstrip("=")


def _people(actor: Actor, house: House) -> None:
    tenant = actor.tenant
    holders: dict[str, User] = {}
    for person in house.people:
        user = User.objects.filter(username=person.username).first()
        if user is None:
            user = User(username=person.username, first_name=person.first, last_name=person.last)
            user.email = f"{person.username}@{house.slug}.example"
            user.password = _hashed(person.username)
            user.save(force_insert=True)
        if not access.all(Membership, actor).filter(user=user).exists():
            actions.add_member(actor, user, person.role)
        holders.setdefault(person.role, user)
    for role in TOKEN_ROLES:
        if not access.all(ApiToken, actor).filter(digest=digest_of(token_of(tenant, role))).exists():
            secret = _token_secret(tenant, role)
            actions.create_token(actor, user=holders[role], role=role, name=f"Demo {role}", secret=secret)


def _platform_admin() -> None:
    """Somebody who makes tenants and sees how they fare, where there is nobody yet."""
    if (
        not User.objects.filter(is_superuser=True).exists()
        and not User.objects.filter(username=PLATFORM_ADMIN).exists()
    ):
        user = User(username=PLATFORM_ADMIN, first_name="Petra", last_name="Novak", is_superuser=True)
        user.password = _hashed(PLATFORM_ADMIN)
        user.save(force_insert=True)


def _hashed(username: str) -> str:
    # 75 random bits need no slow hash, and eight of them would hold up the first start for seconds.
    salt = _derived(f"salt:{username}").hex()[:22]
    return PBKDF2PasswordHasher().encode(_password(username), salt, iterations=20_000)


def _groups(actor: Actor, house: House) -> None:
    """The groups that are missing, with those of their people who are members still."""
    reviewers = [person.username for person in house.people if person.role == Role.REVIEWER]
    there = set(groups.names(actor.tenant.id))
    active = access.all(Membership, actor).filter(active=True, user__username__in=reviewers)
    members = set(active.values_list("user__username", flat=True))
    for name, (about, people) in GROUPS.items():
        if name not in there:
            wanted = [each for each in reviewers[:people] if each in members]
            group_actions.put_group(actor, name, about, wanted)


def _credential(actor: Actor) -> None:
    """The credential ``default``. One that still points to a demo model follows it to its new port."""
    found = access.all(Credential, actor).filter(name="default").first()
    url = settings.DEMO_MODEL_URL
    if url and (found is None or (found.provider == "demo" and found.base_url != url)):
        key = "demo-" + _derived(f"model key:{actor.tenant.slug}").hex()[:24]
        actions.put_credential(actor, "default", provider="demo", base_url=url, api_key=key)


def _workflows(actor: Actor, house: House) -> None:
    for demo in WORKFLOWS:
        if access.all(Workflow, actor).filter(slug=demo.slug).exists():
            continue
        about = f"{demo.description} For example: {demo.example}"
        workflow = workflows.create_workflow(actor, demo.slug, demo.name, description=about)
        workflows.create_revision(actor, workflow, demo.body)
        if says_never(demo.body):
            _waive(actor.tenant, house, workflow)
        if demo.smoke:
            workflows.put_smoke(actor, workflow, {"required": False, "cases": list(demo.smoke)})


def _waive(tenant: Tenant, house: House, workflow: Workflow) -> None:
    """Let NEVER hold, as two admins would: one writes the assessment, the other consents."""
    admins = [person for person in house.people if person.role == Role.ADMIN]
    users = [User.objects.get(username=person.username) for person in admins[:2]]
    first, second = (Actor(tenant=tenant, role=Role.ADMIN, kind="user", id=user.id, name=user.name) for user in users)
    waiver = waivers.propose(first, workflow, "", ASSESSMENT, timezone.now() + WAIVED_FOR)
    waivers.consent(second, waiver)
