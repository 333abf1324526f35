"""Every address of the product. The websockets' are in console/live/routing.py."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter
from django.views.generic import RedirectView

from approvals import compare_pages, hand_pages, rule_pages, run_pages
from approvals import pages as queue_pages
from approvals.notices import pages as notice_pages
from approvals.probes import pages as probe_pages
from console import outage
from console.api import api
from console.health import healthz, readyz
from console.operations import pages as operations_pages
from console.platform import pages as platform_pages
from console.runs import (
    fork_pages,
    limit_pages,
    preview_pages,
    price_pages,
    reason_pages,
    smoke_pages,
    step_pages,
    topic_pages,
)
from console.runs import pages as run_lists
from console.tenants import display_pages, people_pages
from console.tenants import pages as tenant_pages
from console.workflows import contract_pages, import_pages, oversight_pages, revision_pages, tool_pages
from console.workflows import pages as workflow_pages
from telemetry import pages as insight_pages
from telemetry import people_pages as looking_pages
from telemetry import retention_pages
from telemetry.alerts import pages as alert_pages
from telemetry.outwards.exposition import metrics


class Small(IntConverter):
    """A whole number that fits the database's."""

    regex = "[0-9]{1,9}"


register_converter(Small, "small")
handler400 = tenant_pages.unreadable
handler500 = outage.failed

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("api/v1/", api.urls),
    path("", RedirectView.as_view(pattern_name="queue"), name="home"),
    path("login/", tenant_pages.login, name="login"),
    path("logout/", tenant_pages.logout, name="logout"),
    path("switch/<slug:slug>/", tenant_pages.switch, name="switch"),
    path("queue/", queue_pages.queue, name="queue"),
    path("queue/<uuid:request_id>/", queue_pages.item, name="queue-item"),
    path("queue/<uuid:request_id>/decide/", queue_pages.decide, name="queue-decide"),
    path("queue/views/", hand_pages.views, name="queue-views"),
    path("queue/<uuid:request_id>/hand/", hand_pages.hand, name="queue-hand"),
    path("queue/<uuid:request_id>/like/", hand_pages.like, name="queue-like"),
    path("queue/<uuid:request_id>/seen/", queue_pages.seen, name="queue-seen"),
    path("runs/", run_lists.runs, name="runs"),
    path("runs/new/", run_lists.new, name="run-new"),
    path("runs/reasons/", reason_pages.every, name="run-reasons"),
    path("runs/reasons/<slug:name>/", reason_pages.one, name="run-reason"),
    path("runs/reasons/<slug:name>/retry/", reason_pages.retry_all, name="run-reason-retry"),
    path("runs/compare/", compare_pages.compare, name="run-compare"),
    path("runs/<uuid:run_id>/", run_pages.run, name="run"),
    path("runs/<uuid:run_id>/cancel/", run_pages.cancel, name="run-cancel"),
    path("runs/<uuid:run_id>/retry/", run_lists.retry, name="run-retry"),
    path("runs/<uuid:run_id>/fork/", fork_pages.fork, name="run-fork"),
    path("runs/<uuid:run_id>/keep/", smoke_pages.keep, name="run-keep"),
    path("runs/<uuid:run_id>/steps/<small:seq>/", step_pages.step, name="run-step"),
    path("runs/<uuid:run_id>/messages/<small:index>/", step_pages.message, name="run-message"),
    path("events/", topic_pages.events, name="events"),
    path("events/new/", topic_pages.new, name="event-new"),
    path("events/<uuid:key>/", topic_pages.event, name="event"),
    path("operations/", operations_pages.operations, name="operations"),
    path("workflows/", workflow_pages.workflows, name="workflows"),
    path("workflows/import/", import_pages.import_team, name="workflow-import"),
    path("workflows/<slug:slug>/compare/", revision_pages.compare, name="workflow-compare"),
    path("workflows/<slug:slug>/canary/", revision_pages.canary, name="workflow-canary"),
    path("workflows/<slug:slug>/hears/", preview_pages.hears, name="workflow-hears"),
    path("workflows/<slug:slug>/smoke/", smoke_pages.smoke_tests, name="workflow-smoke"),
    path("workflows/<slug:slug>/promote/", revision_pages.promote, name="workflow-promote"),
    path("workflows/<slug:slug>/name/", workflow_pages.name_form, name="workflow-name"),
    path("workflows/<slug:slug>/queue/", workflow_pages.queue_form, name="workflow-queue"),
    path("workflows/<slug:slug>/oversight/", oversight_pages.oversight_form, name="workflow-oversight"),
    path("workflows/<slug:slug>/waivers/", oversight_pages.waivers, name="workflow-waivers"),
    path("workflows/<slug:slug>/waivers/<uuid:key>/", oversight_pages.decide, name="workflow-waiver"),
    path("workflows/<slug:slug>/behaviour/", contract_pages.behaviour, name="workflow-behaviour"),
    path("workflows/<slug:slug>/behaviour.txt", contract_pages.export, name="workflow-behaviour-text"),
    path("workflows/<slug:slug>/", workflow_pages.workflow, name="workflow"),
    path("workflows/<slug:slug>/rules/", rule_pages.rules, name="workflow-rules"),
    path("rules/", rule_pages.rules, name="rules"),
    path("tools/", tool_pages.tools, name="tools"),
    path("tools/<str:name>/", tool_pages.switch, name="tool-switch"),
    path("credentials/", tenant_pages.credentials, name="credentials"),
    path("people/", people_pages.people, name="people"),
    path("people/looking/", looking_pages.looking, name="looking"),
    path("people/looking/decisions/", looking_pages.decisions, name="looking-decisions"),
    path("people/<uuid:user_id>/", people_pages.person, name="person"),
    path("groups/<slug:name>/", people_pages.group, name="group"),
    path("limits/", limit_pages.limit_form, name="limits"),
    path("limits/<slug:slug>/", limit_pages.limit_form, name="workflow-limits"),
    path("prices/", price_pages.price_list, name="prices"),
    path("standing/", hand_pages.standing, name="standing"),
    path("standing/<uuid:standing_id>/", hand_pages.uses, name="standing-uses"),
    path("hours/", hand_pages.hours, name="hours"),
    path("display/", display_pages.display_form, name="display"),
    path("retention/", retention_pages.retention_form, name="retention"),
    path("routing/", limit_pages.queue_form, name="routing"),
    path("probes/", probe_pages.probes, name="probes"),
    path("channels/", notice_pages.channels, name="channels"),
    path("channels/<str:name>/", notice_pages.channel, name="channel"),
    path("channels/<str:name>/do/", notice_pages.do, name="channel-do"),
    path("deliveries/<uuid:key>/", notice_pages.delivery, name="delivery"),
    path("deliveries/<uuid:key>/redeliver/", notice_pages.redeliver, name="delivery-redeliver"),
    path("you/password/", tenant_pages.password, name="password"),
    path("you/", notice_pages.you, name="you"),
    path("platform/", platform_pages.overview, name="platform"),
    path("platform/operations/", operations_pages.platform, name="platform-operations"),
    path("platform/leave/", platform_pages.leave, name="platform-leave"),
    path("platform/<slug:slug>/enter/", platform_pages.enter, name="platform-enter"),
    path("platform/insights/", insight_pages.platform, name="platform-insights"),
    path("insights/", insight_pages.insights, name="insights"),
    path("alerts/", alert_pages.alerts, name="alerts"),
    path("alerts/<uuid:key>/", alert_pages.alert, name="alert"),
    path("audit/", tenant_pages.audit, name="audit"),
]
