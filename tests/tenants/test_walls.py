"""The wall as the database holds it. This reads the catalogue, so a table that somebody forgot is found."""

import pytest
from django.db import connections, models
from django.db.migrations.state import ModelState, ProjectState

from console.tenants import roles, scopes
from console.tenants.walls import Wall

pytestmark = pytest.mark.django_db


def ask(sql, *params):
    with connections["default"].cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def tables_with_a_tenant():
    rows = ask(
        "SELECT DISTINCT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE a.attname = 'tenant_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace"
    )
    return {name for (name,) in rows}


def test_there_are_walled_tables_and_the_guard_knows_each():
    found = tables_with_a_tenant()
    assert {"audit_auditrecord", "tenants_membership", "tenants_datakey", "tenants_credential"} <= found
    assert found | {"tenants_tenant"} == scopes.walled_tables()


def test_each_is_walled_forced_and_owned_by_another():
    rows = ask(
        "SELECT relname, relrowsecurity, relforcerowsecurity, relowner::regrole::text FROM pg_class"
        " WHERE relname = ANY(%s) AND relkind IN ('r', 'p')",
        sorted(scopes.walled_tables()),
    )
    assert len(rows) == len(scopes.walled_tables())
    assert [row for row in rows if row[1:] != (True, True, "sayso_owner")] == []


def test_a_partition_is_reached_through_its_table_alone():
    """Its table's policies do not hold for whoever names the partition itself: so nobody may, and nothing would be seen."""
    rows = ask(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,"
        " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),"
        " ARRAY(SELECT what FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS what"
        "       WHERE has_table_privilege('sayso_app', c.oid, what) OR has_table_privilege('sayso_system', c.oid, what))"
        " FROM pg_class c WHERE c.relispartition AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
    )
    assert len(rows) > 3 * 24
    assert [row for row in rows if row[1:] != (True, 0, [])] == []


def test_each_has_exactly_the_two_policies_and_only_known_ones_more():
    found: dict[str, dict[str, tuple[str, list[str], str]]] = {}
    for table, name, command, to, using in ask(
        "SELECT tablename, policyname, cmd, roles::text[], qual FROM pg_policies WHERE schemaname = 'public'"
    ):
        found.setdefault(table, {})[name] = (command, to, using)
    assert found.keys() == scopes.walled_tables()
    for table, policies in found.items():
        column = "id" if table == "tenants_tenant" else "tenant_id"
        wall = f"({column} = (NULLIF(current_setting('sayso.tenant'::text, true), ''::text))::uuid)"
        assert policies.pop("tenant_wall") == ("ALL", ["sayso_app"], wall), table
        assert policies.pop("system_wall") == ("ALL", ["sayso_system"], "true"), table
        if table in scopes.MEMBER_TABLES:
            command, to, using = policies.pop("member_wall")
            assert (command, to) == ("SELECT", ["sayso_app"])
            assert using.startswith("((NULLIF(current_setting('sayso.tenant'::text, true), ''::text) IS NULL) AND ")
        assert policies == {}, table


def test_each_foreign_key_between_tenants_tables_is_also_a_composite_one():
    rows = ask(
        """
        SELECT con.conrelid::regclass::text, con.confrelid::regclass::text,
               ARRAY(SELECT attname::text FROM unnest(con.conkey) WITH ORDINALITY k(n, i)
                     JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.n ORDER BY i),
               ARRAY(SELECT attname::text FROM unnest(con.confkey) WITH ORDINALITY k(n, i)
                     JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.n ORDER BY i)
        FROM pg_constraint con WHERE con.contype = 'f' AND con.connamespace = 'public'::regnamespace
        """
    )
    inner = tables_with_a_tenant()
    plain = {(table, to, key[0]) for table, to, key, _ in rows if len(key) == 1 and table in inner and to in inner}
    composite = {
        (table, to, key[1])
        for table, to, key, target in rows
        if len(key) == 2 and key[0] == "tenant_id" and target[0] == "tenant_id"
    }
    assert ("tenants_apitoken", "tenants_serviceaccount", "service_id") in plain
    assert plain - composite == set()


def test_tenant_is_in_every_unique_key():
    """A key that is unique across tenants tells one tenant of another's rows. Random and surrogate ids tell nothing."""
    rows = ask(
        """
        SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text,
               ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey))
        FROM pg_index i WHERE i.indisunique AND i.indrelid = ANY(%s::regclass[])
        """,
        sorted(tables_with_a_tenant()),
    )
    by_run = {"run_id", "topic", "request_id"}  # begin with an id that is itself one tenant's
    loose = [
        (table, index, columns)
        for table, index, columns in rows
        if "tenant_id" not in columns and columns not in (["id"], ["key_id"], ["name"]) and not by_run & set(columns)
    ]
    assert loose == []


def test_the_application_role_has_no_way_round():
    ((superuser, bypass, inherits_system, inherits_owner, may_system),) = ask(
        "SELECT rolsuper, rolbypassrls, pg_has_role(oid, 'sayso_system', 'USAGE'), pg_has_role(oid, 'sayso_owner', 'MEMBER'),"
        " pg_has_role(oid, 'sayso_system', 'SET') FROM pg_roles WHERE rolname = current_user"
    )
    assert ask("SELECT current_user") == [("sayso_app",)]
    assert (superuser, bypass, inherits_system, inherits_owner, may_system) == (False, False, False, False, True)
    assert ask("SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'sayso_system'") == [
        (False, False, False)
    ]
    roles.assert_app_role()


def test_nothing_runs_with_its_definers_rights():
    definers = "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    assert ask(definers) == []
    views = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind = 'm' OR"
        " (relkind = 'v' AND NOT COALESCE('security_invoker=true' = ANY(reloptions), false)))"
    )
    assert ask(views) == []


@pytest.mark.django_db(databases=["owner"])
def test_the_process_does_not_start_as_the_owner():
    with pytest.raises(roles.WrongRole, match="has the rights of sayso_owner"):
        roles.assert_app_role("owner")


@pytest.mark.django_db(databases=["owner"], transaction=True)
def test_a_wall_can_be_taken_down_and_put_up_again():
    connection = connections["owner"]
    state = ProjectState()
    for name, fields in (
        ("Room", [("id", models.BigAutoField(primary_key=True)), ("tenant_id", models.UUIDField())]),
        ("Chair", [("id", models.BigAutoField(primary_key=True)), ("tenant_id", models.UUIDField())]),
    ):
        state.add_model(ModelState("brickwork", name, fields, {"constraints": []}))
    state.models["brickwork", "room"].options["constraints"] = [
        models.UniqueConstraint(fields=["tenant_id", "id"], name="room_in_tenant")
    ]
    room, chair = state.apps.get_model("brickwork", "Room"), state.apps.get_model("brickwork", "Chair")
    seat = models.ForeignKey(room, models.CASCADE)
    walls = [Wall("Room"), Wall("Chair", references={"room_id": "Room"}, append_only=True)]

    def catalogue():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, relrowsecurity, relforcerowsecurity,"
                " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),"
                " (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'),"
                " (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)"
                " FROM pg_class c WHERE relname IN ('brickwork_room', 'brickwork_chair') ORDER BY relname"
            )
            return cursor.fetchall()

    bare = [("brickwork_chair", False, False, 0, 0, 0), ("brickwork_room", False, False, 0, 0, 0)]
    try:
        with connection.schema_editor() as editor:
            editor.create_model(room)
            editor.create_model(chair)
            editor.execute("ALTER TABLE brickwork_chair ADD COLUMN room_id bigint")
        assert seat.remote_field.model is room
        for _ in range(2):
            assert catalogue() == bare
            with connection.schema_editor() as editor:
                for wall in walls:
                    wall.database_forwards("brickwork", editor, state, state)
            assert catalogue() == [("brickwork_chair", True, True, 2, 1, 1), ("brickwork_room", True, True, 2, 0, 0)]
            with connection.schema_editor() as editor:
                for wall in reversed(walls):
                    wall.database_backwards("brickwork", editor, state, state)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS brickwork_chair, brickwork_room")
