"""Channels as admins make them, over the API and on the pages; and where secrets must not be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.errors import Conflict, Invalid
from approvals.notices import actions
from approvals.notices.answers import Answer
from approvals.notices.models import Channel, Delivery, Subscription
from console.audit.models import AuditRecord
from console.tenants.access import Forbidden
from tests.api.problems import problem
from tests.approvals.desk import Desk, refund
from tests.approvals.notices.carrier import Post
from tests.approvals.notices.conftest import EVERYTHING, HOOK, make

TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#general"
BODY = {"kind": "webhook", "address": HOOK, "events": ["request.created"]}
API = "/api/v1/channels"


def test_over_the_api(desk: Desk) -> None:
    api = desk.house.admin.api
    made = api.put(f"{API}/hook", {**BODY, "risks": ["high"], "workflows": ["refund-desk"]})
    assert made.status_code == 200 and made.json()["secret"].startswith("whsec_")
    assert made.json()["place"] == "https://hooks.example.com"
    again = api.put(f"{API}/hook", {**BODY, "address": ""}).json()
    assert again["secret"] is None and again["risks"] == []
    rotated = api.post(f"{API}/hook/secret").json()["secret"]
    assert rotated.startswith("whsec_") and rotated != made.json()["secret"]
    sent = api.post(f"{API}/hook/test").json()
    assert (sent["event"], sent["status"]) == ("test", "pending")
    assert [each["id"] for each in api.get(f"{API}/hook/deliveries", status="pending").json()["items"]] == [sent["id"]]
    assert api.get(f"{API}/hook/deliveries", status="dead").json()["items"] == []
    problem(api.post(f"/api/v1/deliveries/{sent['id']}/redeliver"), 409)
    problem(api.get(f"{API}/hook/deliveries", status="x"), 422, "status")
    problem(api.get(f"{API}/hook/deliveries", cursor="x"), 422, "cursor")
    assert [each["name"] for each in api.get(API).json()["items"]] == ["hook"]
    assert api.delete(f"{API}/hook").json()["name"] == "hook"
    problem(api.delete(f"{API}/hook"), 404)
    with desk.house.scope():
        assert Delivery.objects.count() == 0
        deeds = set(AuditRecord.objects.filter(object_type="channel").values_list("action", flat=True))
    assert deeds == {"channel.put", "channel.secret_rotated", "channel.tested", "channel.deleted"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "ftp://example.com/x"}, "address"),
        ({"address": "https://user:pw@example.com/x"}, "address"),
        ({"address": "http://127.0.0.1/x"}, "address"),
        ({"address": "http://169.254.169.254/latest/meta-data/"}, "address"),
        ({"address": "http://[::1]/x"}, "address"),
        ({"address": "https://" + "x" * 600}, "address"),
        ({"address": "https://[/x"}, "address"),
        ({"address": ""}, "address"),
        ({"kind": "email", "address": "nobody"}, "address"),
        ({"kind": "email", "address": [f"a{n}@example.com" for n in range(21)]}, "address"),
        ({"kind": "chat", "address": "file:///etc/passwd"}, "address"),
        ({"kind": "chat", "address": "exec://rm"}, "address"),
        ({"kind": "chat", "address": "syslog://"}, "address"),
        ({"kind": "chat", "address": "jsons://example.com/x"}, "address"),
        ({"kind": "chat", "address": "https://example.com/x"}, "address"),
        ({"kind": "chat", "address": "slack://nonsense"}, "address"),
        ({"kind": "chat", "address": f"{SLACK}?template=/etc/passwd"}, "address"),
        ({"kind": "chat", "address": "ntfy://127.0.0.1/topic"}, "address"),
        ({"kind": "chat", "address": "mmost://10.0.0.1/abcdefghijklmnopqrstuvwxyz"}, "address"),
        ({"kind": "pigeon"}, "kind"),
        ({"events": []}, "events"),
        ({"events": ["request.created", "made.up"]}, "events"),
        ({"risks": ["extreme"]}, "risks"),
        ({"workflows": ["nowhere"]}, "workflows"),
        ({"groups": ["x" * 200]}, "groups"),
        ({"groups": ["x"] * 51 + [str(n) for n in range(60)]}, "groups"),
        ({"events": "request.created"}, "events"),
        ({"include_title": "perhaps"}, "include_title"),
        ({"strange": 1}, "strange"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, change: dict[str, Any], field: str) -> None:
    found = problem(desk.house.admin.api.put(f"{API}/hook", {**BODY, **change}), 422, field)
    assert TOKEN not in json.dumps(found)
    with desk.house.scope():
        assert Channel.objects.count() == 0


def test_names(desk: Desk) -> None:
    api = desk.house.admin.api
    for name in ("-x", "a" * 61, "a b", "%C3%A4", "."):
        problem(api.put(f"{API}/{name}", BODY), 422, "name")
    problem(api.get(f"{API}/%00"), 404)
    problem(api.put(f"{API}/%00", BODY), 422, "name")


def test_where_secrets_are_not(desk: Desk, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    """No address with a token and no signing secret: on a page, in the API, in the audit record, in a log."""
    admin, secrets = desk.house.admin, ["tok_very-secret-path", TOKEN]
    secrets += [admin.api.put(f"{API}/hook", {**BODY, "events": EVERYTHING}).json()["secret"]]
    secrets += [admin.api.post(f"{API}/hook/secret").json()["secret"]]
    assert admin.api.put(f"{API}/chat", {**BODY, "kind": "chat", "address": SLACK}).status_code == 200
    desk.waiting(refund())
    told = Answer(False, 500, f"what is {' '.join(each for each in secrets if each != TOKEN)}?")
    post.carrier.always = {"post": told, "chat": RuntimeError(SLACK)}
    post.round()
    with desk.house.scope():
        keys = [str(row.pk) for row in Delivery.objects.all()]
        kept = json.dumps(list(AuditRecord.objects.values("detail", "action", "actor_name")))
    assert len(keys) == 2
    seen = [kept, caplog.text]
    for path in (
        "/channels/",
        "/channels/hook/",
        "/channels/chat/",
        "/audit/",
        *(f"/deliveries/{key}/" for key in keys),
    ):
        page = admin.client.get(path)
        assert page.status_code == 200
        seen.append(page.content.decode())
    for path in (API, f"{API}/hook", f"{API}/chat", f"{API}/hook/deliveries", f"{API}/chat/deliveries"):
        seen.append(admin.api.get(path).content.decode())
    for secret in secrets:
        for text in seen:
            assert secret not in text and secret.removeprefix("whsec_") not in text


def test_a_new_address_is_needed_for_another_kind(desk: Desk) -> None:
    make(desk, "hook")
    with desk.house.scope(), pytest.raises(Invalid, match="needs an address"):
        actions.put_channel(desk.house.admin.actor, "hook", kind="email", events=["run.ended"])


def test_only_admins(desk: Desk) -> None:
    make(desk, "hook")
    for member in (desk.house.operator, desk.house.reviewer):
        with desk.house.scope():
            for deed in (actions.rotate, actions.test, actions.delete_channel, actions.redeliver_failed):
                with pytest.raises(Forbidden):
                    deed(member.actor, "hook")
        for path in ("/channels/", "/channels/hook/"):
            assert member.client.get(path).status_code == 403
        assert member.client.post("/channels/hook/do/", {"do": "off"}).status_code == 403
        assert "/channels/" not in member.client.get("/queue/").content.decode()


def test_another_tenants_channel_does_not_exist(desk: Desk, world: Any, post: Post) -> None:
    make(desk, "hook")
    desk.waiting(refund())
    post.round()
    with desk.house.scope():
        key = Delivery.objects.get().pk
    other = world.fabrikam.admin.client
    for path in ("/channels/hook/", f"/deliveries/{key}/"):
        assert other.get(path).status_code == 404
    for path in ("/channels/hook/do/", f"/deliveries/{key}/redeliver/"):
        assert other.post(path, {"do": "off"}).status_code == 404
    with desk.house.scope():
        assert Channel.objects.get().active


def test_off_and_on(desk: Desk) -> None:
    make(desk, "hook")
    admin = desk.house.admin.client
    for do, active in (("off", False), ("off", False), ("on", True)):
        assert admin.post("/channels/hook/do/", {"do": do}).status_code == 302
        with desk.house.scope():
            assert Channel.objects.get().active is active
    admin.post("/channels/hook/do/", {"do": "off"})
    with desk.house.scope(), pytest.raises(Conflict):
        actions.test(desk.house.admin.actor, "hook")
    assert admin.post("/channels/hook/do/", {"do": "test"}).status_code == 409
    assert admin.post("/channels/hook/do/", {"do": "nonsense"}).status_code == 409
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="channel.switched_off").count() == 2


def test_on_the_page(desk: Desk, post: Post) -> None:
    admin = desk.house.admin.client
    assert "Nobody outside is told yet" in admin.get("/channels/").content.decode()
    form = {"name": "hook", "kind": "webhook", "address": HOOK, "events": ["request.created", "run.ended"]}
    made = admin.post("/channels/", form)
    assert made.status_code == 200 and "whsec_" in made.content.decode()
    assert "whsec_" not in admin.get("/channels/hook/").content.decode()
    assert admin.post("/channels/", form).status_code == 422  # the name is taken
    saved = admin.post("/channels/hook/", {**form, "address": "", "groups": "finance, legal", "include_title": "yes"})
    assert saved.status_code == 302
    with desk.house.scope():
        row = Channel.objects.get()
        assert (row.groups, row.include_title) == (["finance", "legal"], True)
    wrong = admin.post("/channels/hook/", {**form, "address": "http://10.0.0.1/", "events": []})
    assert wrong.status_code == 422
    assert admin.post("/channels/hook/do/", {"do": "test"}).status_code == 302
    post.carrier.answers = [Answer(False, 500, "<script>alert(1)</script>")]
    post.round()
    listed = admin.get("/channels/hook/?status=failed").content.decode()
    assert "will be tried again" in listed and "1 failing" in listed
    with desk.house.scope():
        key = Delivery.objects.get().pk
    page = admin.get(f"/deliveries/{key}/").content.decode()
    assert "webhook-id" in page and "HTTP 500" in page and "<script>alert" not in page
    assert admin.post(f"/deliveries/{key}/redeliver/").status_code == 302
    assert admin.post("/channels/hook/do/", {"do": "redeliver"}).status_code == 302
    assert admin.get("/channels/hook/?after=nonsense").status_code == 302
    rotated = admin.post("/channels/hook/do/", {"do": "rotate"})
    assert "whsec_" in rotated.content.decode()
    assert admin.post("/channels/hook/do/", {"do": "delete"}).status_code == 302
    assert admin.get("/channels/hook/").status_code == 404


@pytest.mark.parametrize("nonsense", ["\x00", "x" * 100_000, "\ud800", "[" * 5000])
def test_nonsense_in_every_field(desk: Desk, nonsense: str) -> None:
    make(desk, "hook")
    admin = desk.house.admin.client
    nonsense = nonsense.encode("utf-8", "replace").decode()
    right = {"name": "other", "kind": "webhook", "address": HOOK, "events": ["run.ended"]}
    for field in (*right, "groups", "workflows", "risks", "include_title", "active"):
        for path in ("/channels/", "/channels/hook/"):
            answer = admin.post(path, {**right, "name": "new", field: nonsense})
            assert answer.status_code in (200, 302, 422), (field, path)
    for path in ("/channels/hook/do/", "/you/"):
        assert admin.post(path, {"do": nonsense, "wants": nonsense}).status_code in (409, 422)
    assert admin.get("/channels/hook/", {"status": nonsense[:500], "after": nonsense[:500]}).status_code in (200, 302)


def test_what_i_am_told(desk: Desk) -> None:
    reviewer = desk.house.reviewer.client
    assert "What I am told" in reviewer.get("/you/").content.decode()
    assert reviewer.post("/you/", {"wants": "urgent"}).status_code == 302
    assert reviewer.post("/you/", {"wants": "all"}).status_code == 302
    assert reviewer.post("/you/", {"wants": "sometimes"}).status_code == 422
    with desk.house.scope():
        assert [row.wants for row in Subscription.objects.all()] == ["all"]
        assert AuditRecord.objects.filter(action="member.subscribed").count() == 2
