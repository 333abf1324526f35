"""Seeding: what is there afterwards, that doing it again changes nothing, and what the commands print."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client

from console.demo import seed
from console.demo.documents import WORKFLOWS
from console.tenants import actions, tokens
from console.tenants.access import system_actor
from console.tenants.models import Credential, Membership, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import waived
from console.workflows.models import Revision, Waiver, Workflow
from tests.studio import names, own_files, studio

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:18080/v1"


@pytest.fixture(autouse=True)
def _surroundings(settings: Any) -> None:
    settings.DEMO_MODEL_URL = URL
    # The product's own hasher is slow on purpose, and it is Django's to test.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


def everything() -> dict[str, list[Any]]:
    """Every row of every table, as values."""
    with system_scope("a test looks"):
        models = [model for model in apps.get_models() if model._meta.app_label not in ("sessions", "contenttypes")]
        return {
            model._meta.label: sorted(map(str, model._default_manager.values_list()))  # type: ignore[attr-defined]
            for model in models
            if model._meta.app_label not in ("auth",)
        }


def printed(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_seeding_twice_changes_nothing() -> None:
    seed.seed()
    before = everything()
    assert len(before["tenants.User"]) == 11 and len(before["workflows.Revision"]) == 6  # ten members, a platform admin
    seed.seed()
    assert everything() == before


def test_seeding_again_keeps_what_people_changed() -> None:
    seed.seed()
    with system_scope("a test looks"):
        tenant = Tenant.objects.get(slug="northwind")
    with tenant_scope(tenant):
        actor = system_actor(tenant)
        url = "https://api.openai.com/v1"
        actions.put_credential(actor, "default", provider="openai", base_url=url, api_key="sk-real")
        Membership.objects.filter(user__username="raj").update(active=False)
    seed.seed()
    with tenant_scope(tenant):
        assert Credential.objects.get(name="default").base_url == url
        assert not Membership.objects.get(user__username="raj").active


def test_the_credential_follows_the_demo_model_to_another_port(settings: Any) -> None:
    seed.seed()
    settings.DEMO_MODEL_URL = "http://127.0.0.1:18081/v1"
    seed.seed()
    with system_scope("a test looks"):
        assert {credential.base_url for credential in Credential.objects.all()} == {settings.DEMO_MODEL_URL}


def test_demo_json_has_the_shape_that_others_rely_on(settings: Any) -> None:
    assert json.loads(printed("demo", "--json")) == {"url": settings.PUBLIC_URL, "tenants": []}
    told = json.loads(printed("demo", "--seed", "--json"))
    assert told == json.loads(printed("demo", "--json"))
    assert [tenant["slug"] for tenant in told["tenants"]] == ["northwind", "fabrikam"]
    for tenant in told["tenants"]:
        assert tenant["workflows"] == ["refund-desk", "support-triage", "change-advisory"]
        roles = [user["role"] for user in tenant["users"]]
        assert set(roles) == {"reviewer", "operator", "admin"} and roles.count("reviewer") == 2
        assert set(tenant["tokens"]) == {"admin", "operator", "reviewer"}
        assert all(set(user) == {"username", "password", "role"} for user in tenant["users"])


def test_what_it_prints_opens_the_doors(settings: Any) -> None:
    seed.seed()
    for tenant in seed.describe()["tenants"]:
        for role, token in tenant["tokens"].items():
            actor = tokens.authenticate(token)
            assert actor is not None and (actor.tenant.slug, actor.role) == (tenant["slug"], role)
        for user in tenant["users"]:
            assert User.objects.get(username=user["username"]).check_password(user["password"])
    user = seed.describe()["tenants"][0]["users"][0]
    assert Client().login(username=user["username"], password=user["password"])


def test_another_key_has_other_secrets(settings: Any) -> None:
    person = seed.HOUSES[0].people[0]
    before = seed.password_of(person)
    settings.SECRET_KEY = "another"
    assert seed.password_of(person) != before


def test_the_demo_command_without_a_demo_says_so() -> None:
    with pytest.raises(CommandError, match="no demo here"):
        call_command("demo")
    text = printed("demo", "--seed")
    assert all(workflow.example in text for workflow in WORKFLOWS) and "northwind" in text


class TestImportTeam:
    @pytest.fixture(autouse=True)
    def _northwind(self, db: None) -> Tenant:
        with system_scope("a test makes a tenant"):
            return actions.create_tenant("northwind", "Northwind")

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "team.json"
        path.write_text(json.dumps(studio()))
        return path

    @pytest.mark.parametrize("document", [studio(), *own_files("team.json")], ids=names("team.json"))
    def test_studios_team_is_taken_as_it_is_and_loses_its_code(self, file: Path, document: dict[str, Any]) -> None:
        file.write_text(json.dumps(document))
        text = printed(
            "import_team", str(file), "--tenant", "northwind", "--workflow", "sums", "--tool", "calculator=calculator"
        )
        assert "northwind/sums: revision 1" in text
        with system_scope("a test looks"):
            revision = Revision.objects.get(workflow__slug="sums")
            assert Workflow.objects.get(slug="sums").current_id == revision.id
        assert "source_code" not in json.dumps(revision.body) and "return" not in json.dumps(revision.body)
        assert '"catalogue": "calculator"' in json.dumps(revision.body)

    def test_unmapped_code_is_refused_with_its_path_and_leaves_nothing_behind(self, file: Path) -> None:
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("import_team", str(file), tenant="northwind", workflow="sums", stderr=out)
        assert "$.team.config.participants[0].config.workbench[0].config.tools[0]" in out.getvalue()
        with system_scope("a test looks"):
            assert not Workflow.objects.filter(slug="sums").exists()

    def test_what_cannot_be_read_is_one_clear_line(self, file: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.json"
        broken.write_text("{")
        for arguments, words in (
            ((str(broken),), "cannot read"),
            ((str(tmp_path / "missing.json"),), "cannot read"),
            ((str(file), "--tool", "calculator"), "NAME=CATALOGUE_NAME"),
        ):
            with pytest.raises(CommandError, match=words):
                call_command("import_team", *arguments, "--tenant", "northwind", "--workflow", "x")
        with pytest.raises(CommandError, match="no tenant nowhere"):
            call_command("import_team", str(file), "--tenant", "nowhere", "--workflow", "x")


def test_the_first_member_of_an_empty_installation() -> None:
    with pytest.raises(CommandError, match="no tenant acme"):
        call_command("add_member", "ann", "--tenant", "acme", "--role", "admin")
    text = printed("add_member", "ann", "--tenant", "acme", "--tenant-name", "Acme", "--role", "admin")
    password = text.splitlines()[1].removeprefix("password: ")
    assert "ann is admin in acme" in text and User.objects.get(username="ann").check_password(password)
    again = printed("add_member", "ann", "--tenant", "acme", "--role", "operator")
    assert "ann is operator in acme" in again and "password" not in again


def test_never_holds_in_the_demo_by_the_word_of_two_admins() -> None:
    seed.seed()
    with system_scope("a test looks"):
        tenants = {tenant.slug: tenant for tenant in Tenant.objects.all()}
    for house in seed.HOUSES:
        with tenant_scope(tenants[house.slug]):
            for workflow in Workflow.objects.select_related("current"):
                assert workflow.current is not None and workflow.contract > 0
                assert waived.of_now(workflow, workflow.current.body) == workflow.current.body["oversight"]
            names = {(one.proposed_by_name, one.consented_by_name) for one in Waiver.objects.all()}
            assert len(names) == 1 and len(names.pop()) == 2


def test_there_is_one_platform_admin_and_no_second_is_made() -> None:
    seed.seed()
    told = seed.describe()["platform"]
    user = User.objects.get(username=told["username"])
    assert user.is_superuser and user.check_password(told["password"])
    assert told["password"] in printed("demo")
    User.objects.filter(pk=user.pk).update(username="somebody")
    seed.seed()
    assert User.objects.filter(is_superuser=True).count() == 1 and "platform" not in seed.describe()
