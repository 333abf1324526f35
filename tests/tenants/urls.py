"""A page and an API just large enough to see what the middleware does around them."""

import json
import threading

from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import path

from console.tenants import access, actions, sessions
from console.tenants.access import actor_of
from console.tenants.models import ServiceAccount
from console.tenants.problems import problem

entered, release = threading.Event(), threading.Event()


def who(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    slugs = [each.tenant.slug for each in request.memberships]
    return JsonResponse(
        {"tenant": actor.tenant.slug, "role": actor.role, "kind": actor.kind, "id": str(actor.id), "tenants": slugs}
    )


def lazy(request: HttpRequest) -> HttpResponse:
    """Rendered after the view has returned."""
    template = engines["django"].from_string("{% for each in rows %}{{ each.name }};{% endfor %}")
    rows = access.all(ServiceAccount, actor_of(request)).order_by("name")
    return SimpleTemplateResponse(template, {"rows": rows})


def write(request: HttpRequest, how: str) -> HttpResponse:
    actions.add_service_account(access.system_actor(actor_of(request).tenant), f"page {how}")
    if how == "raises":
        raise RuntimeError("a fault in a view")
    if how == "forbidden":
        raise access.Forbidden("not you")
    return HttpResponse(status=int(how.removeprefix("answers-")) if how.startswith("answers-") else 200)


def switch(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse(sessions.switch(request, slug).name)


def things(request: HttpRequest) -> HttpResponse:
    wanted = json.loads(request.body or "{}")
    service = actions.add_service_account(access.system_actor(actor_of(request).tenant), wanted["name"])
    if wanted.get("then") == "refuse":
        return problem(409, "No.")
    if wanted.get("then") == "raise":
        raise access.NotFound("No such thing.")
    if wanted.get("then") == "wait":
        entered.set()
        release.wait(30)
    return JsonResponse({"id": str(service.id)}, status=201)


def thing(request: HttpRequest, thing_id: str) -> HttpResponse:
    actor = actor_of(request)
    access.require(actor, "operator", "admin")
    return JsonResponse({"name": access.get(ServiceAccount, actor, id=thing_id).name})


def open_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok" if request.actor is None else "somebody")


urlpatterns = [
    path("healthz", open_page),
    path("login/", LoginView.as_view(template_name="login-of-tests.html")),
    path("logout/", LogoutView.as_view()),
    path("who/", who),
    path("lazy/", lazy),
    path("write/<str:how>/", write),
    path("switch/<slug:slug>/", switch),
    path("api/v1/who", who),
    path("api/v1/things", things),
    path("api/v1/things/<str:thing_id>", thing),
]
