"""The pages of people: who is here as what, in which group, and who stands in for whom. Admins change it there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from console.tenants import absences, access, actions, group_actions, groups, people_actions
from console.tenants.access import Actor, NotFound, actor_of
from console.tenants.actions import Conflict, Invalid
from console.tenants.models import Absence, Group, Membership, Role

SHOWN = 300  # members on one page; more are found by searching
MAY: dict[str, str] = {
    Role.REVIEWER: "Decides what waits in the queue: approves, edits, rejects, answers, escalates, stops the run.",
    Role.OPERATOR: "Starts, cancels and retries runs. Decides nothing.",
    Role.ADMIN: "Does what an operator does, and configures: workflows, tools, credentials, limits, people. "
    "Decides nothing.",
}
Deed = Callable[[Actor, Membership, Mapping[str, Any]], None]


@require_http_methods(["GET", "HEAD", "POST"])
def people(request: HttpRequest) -> HttpResponse:
    """All members and groups; for admins, the forms that add one. A first password is in one answer, and nowhere else."""
    actor = actor_of(request)
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        do = request.POST.get("do", "")
        try:
            if do == "group":
                name = request.POST.get("group", "").strip()
                group_actions.make_group(actor, name, request.POST.get("description", ""))
                return redirect("group", name=name)
            context = _invite(actor, request.POST)
        except Invalid as fault:
            context, status = {"errors": {f"{do}:{fault.field}": fault.message}, "typed": request.POST}, 422
    wanted = request.GET.get("q", "").strip()[:100]
    return render(request, "tenants/people.html", _everybody(actor, wanted) | context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def person(request: HttpRequest, user_id: UUID) -> HttpResponse:
    """One member, also a former one: role, groups, and when they are away."""
    actor = actor_of(request)
    member = access.get(Membership.objects.select_related("user"), actor, user_id=user_id)
    errors, status = {}, 200
    if request.method == "POST":
        do = request.POST.get("do", "")
        try:
            _DEEDS.get(do, _nothing)(actor, member, request.POST)
            return redirect(f"{request.path}?{urlencode({'saved': do})}")
        except Invalid as fault:
            errors, status = {fault.field: fault.message}, 422
        except Conflict as conflict:
            errors, status = {"form": str(conflict)}, 409
        member.refresh_from_db()
    context = _person(actor, member) | {"errors": errors, "typed": request.POST, "saved": request.GET.get("saved", "")}
    return render(request, "tenants/person.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def group(request: HttpRequest, name: str) -> HttpResponse:
    """One group: its people, and what names it."""
    actor = actor_of(request)
    found = access.get(Group, actor, name=name)
    errors, status = {}, 200
    if request.method == "POST":
        do = request.POST.get("do", "")
        try:
            _change_group(actor, name, do, request.POST)
            return redirect("/people/#groups" if do == "delete" else f"/groups/{name}/")
        except Invalid as fault:
            errors, status = {fault.field: fault.message}, 422
        except Conflict as conflict:
            errors, status = {"form": str(conflict)}, 409
    inside = groups.members(actor.tenant.id, name)
    others = access.all(Membership, actor).filter(active=True).exclude(user_id__in=[each.user_id for each in inside])
    context = {
        "section": "people",
        "group": found,
        "members": inside,
        "empty": all(each.role != Role.REVIEWER for each in inside),
        "stand_ins": [each for each in groups.reviewers(actor.tenant.id, name) if each.stands_in],
        "others": others.select_related("user").order_by("user__username") if actor.role == "admin" else (),
        "uses": group_actions.uses(actor.tenant, name),
        "errors": errors,
        "typed": request.POST,
    }
    return render(request, "tenants/group.html", context, status=status)


def _everybody(actor: Actor, wanted: str) -> dict[str, Any]:
    by_group = groups.everybody(actor.tenant.id)
    names: defaultdict[UUID, list[str]] = defaultdict(list)
    for name, inside in by_group.items():
        for each in inside:
            names[each.user_id].append(name)
    away = [_told(each) for each in absences.open_ones(actor.tenant.id)]
    now_away = {each.user_id: each for each in away if each.lasts}  # type: ignore[attr-defined]
    rows = list(access.all(Membership, actor).filter(active=True).select_related("user"))
    for row in rows:
        row.groups, row.away = names[row.user_id], now_away.get(row.user_id)  # type: ignore[attr-defined]
    rows.sort(key=lambda row: (row.user.name.casefold(), row.user.username))
    found = [row for row in rows if wanted.casefold() in _text(row, names[row.user_id])]
    described = dict(access.all(Group, actor).values_list("name", "description"))
    return {
        "section": "people",
        "members": found[:SHOWN],
        "more": max(len(found) - SHOWN, 0),
        "count": len(rows),
        "wanted": wanted,
        "groups": [
            {
                "name": name,
                "description": described.get(name, ""),
                "members": inside,
                "empty": all(each.role != Role.REVIEWER for each in inside),
            }
            for name, inside in by_group.items()
        ],
        "away": away,
        "roles": [(str(role), text) for role, text in MAY.items()],
    }


def _text(row: Membership, names: list[str]) -> str:
    """What a search looks through."""
    return " ".join((row.user.name, row.user.username, row.role, *names)).casefold()


def _person(actor: Actor, member: Membership) -> dict[str, Any]:
    by_group = groups.everybody(actor.tenant.id)
    mine = {name for name, inside in by_group.items() if any(each.user_id == member.user_id for each in inside)}
    away = [_told(each) for each in absences.open_ones(actor.tenant.id)]
    reviewers = access.all(Membership, actor).filter(active=True, role=Role.REVIEWER).exclude(user=member.user)
    admin, oneself = actor.role == Role.ADMIN, actor.id == member.user_id
    return {
        "section": "people",
        "member": member,
        "may": MAY.get(member.role, ""),
        "oneself": oneself,
        "groups": sorted(mine),
        "all_groups": [(name, name in mine) for name in by_group],
        "away": [each for each in away if each.user_id == member.user_id],
        "stands_in": [each for each in away if each.delegate_id == member.user_id],
        "may_be_away": member.active and member.role == Role.REVIEWER and (oneself or admin),
        "reviewers": reviewers.select_related("user").order_by("user__first_name", "user__username"),
        "roles": [(str(role), text) for role, text in MAY.items()],
        "today": timezone.now().date(),
    }


def _told(absence: Absence) -> Absence:
    """An absence with what a page says of it: its last day, and whether it lasts."""
    absence.last = absence.ends - timedelta(seconds=1)  # type: ignore[attr-defined]
    absence.lasts = absence.starts <= timezone.now()  # type: ignore[attr-defined]
    return absence


def _invite(actor: Actor, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {field: given.get(field, "") for field in ("name", "email", "role")}
    user, password = people_actions.invite(actor, given.get("username", ""), **fields)
    return {"invited": user, "password": password}


def _role(actor: Actor, member: Membership, given: Mapping[str, Any]) -> None:
    access.require(actor, Role.ADMIN)
    if member.active:
        people_actions.put_role(actor, member.user.username, given.get("role", ""))
    else:
        actions.add_member(actor, member.user, given.get("role", ""))


def _end(actor: Actor, member: Membership, given: Mapping[str, Any]) -> None:
    people_actions.end_membership(actor, member.user.username)


def _groups(actor: Actor, member: Membership, given: Any) -> None:
    group_actions.put_groups_of(actor, member.user_id, given.getlist("groups"))


def _away(actor: Actor, member: Membership, given: Mapping[str, Any]) -> None:
    """Whole days, of UTC: the first and the last one away."""
    starts, last = _day("starts", given), _day("ends", given)
    absences.put_absence(actor, member.user_id, starts, last + timedelta(days=1), given.get("delegate", ""))


def _back(actor: Actor, member: Membership, given: Mapping[str, Any]) -> None:
    absences.end_absence(actor, given.get("absence", ""))


def _nothing(actor: Actor, member: Membership, given: Mapping[str, Any]) -> None:
    raise Invalid("form", "This form says nothing that can be done here.")


_DEEDS: dict[str, Deed] = {"role": _role, "end": _end, "groups": _groups, "away": _away, "back": _back}


def _day(field: str, given: Mapping[str, Any]) -> datetime:
    try:
        day = date.fromisoformat(given.get(field, "").strip())
    except ValueError:
        day = date.min
    if not 2000 <= day.year <= 3000:
        raise Invalid(field, "Write the day as year, month and day: 2027-01-31.")
    return datetime.combine(day, time(), UTC)


def _change_group(actor: Actor, name: str, do: str, given: Mapping[str, Any]) -> None:
    if do == "save":
        group_actions.put_group(actor, name, given.get("description", "").strip())
    elif do == "add":
        group_actions.add_to_group(actor, name, given.get("username", "").strip())
    elif do == "remove":
        if not group_actions.remove_from_group(actor, name, given.get("username", "")):
            raise NotFound("Nobody of that user name is in this group.")
    elif do == "delete":
        group_actions.delete_group(actor, name)
    else:
        raise Invalid("form", "This form says nothing that can be done here.")
