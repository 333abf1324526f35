"""The database of a test: made and migrated as sayso_owner, used as sayso_app, as in production."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from django.test.client import ClientHandler
from django.test.utils import setup_databases, teardown_databases
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis
from pytest_django.plugin import blocking_manager_key

from tests import template
from tests.sweeping import Sweeper
from tests.world import cast, world  # noqa: F401 - the cast, fixtures for every suite

# Both measure the machine, which may be busy, and say nothing of what is tested.
hypothesis.register_profile("sayso", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("sayso")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave out of each later collection of garbage what lives to the end: modules, and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Migrate once for all workers, while they collect the tests: they begin none before this is done."""
    option = session.config.option
    if hasattr(session.config, "workerinput") or option.dist == "no" or option.collectonly:
        return
    with session.config.stash[blocking_manager_key].unblock():
        template.make(verbosity=option.verbose)


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker, django_db_modify_db_settings: None
) -> Generator[None]:
    """Make the test database through ``owner`` alone; ``default`` follows it there under its own role.

    With TEST["MIRROR"] left on ``default``, Django's test cases would leave that alias out of their transactions; with
    no mirror at all, ``default`` would keep pointing at the real database.
    """
    with django_db_blocker.unblock():
        made = template.copy() or setup_databases(
            verbosity=request.config.option.verbose, interactive=False, aliases={"owner"}
        )
        app, owner = connections["default"], connections["owner"]
        name = app.settings_dict["NAME"]
        assert name == owner.settings_dict["NAME"] and "test" in name
        app.settings_dict["TEST"]["MIRROR"] = None
        with owner.cursor() as cursor:
            cursor.execute("GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO sayso_app")
        sweeper = Sweeper(os.environ["SAYSO_TEST_SUPERUSER"]) if "SAYSO_TEST_SUPERUSER" in os.environ else None
        owner.close()
    with pytest.MonkeyPatch.context() as patch:
        if sweeper is not None:
            patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: sweeper.sweep())
        yield
    if sweeper is not None:
        sweeper.close()
    with django_db_blocker.unblock():
        for alias in ("default", "owner"):
            connections[alias].close()
        teardown_databases(made, verbosity=request.config.option.verbose)


@pytest.fixture(autouse=True, scope="session")
def one_chain_of_middleware() -> Generator[None]:
    """Let all test clients share what each would make at its first request: reading every static file's facts, above all.

    A chain for each list of middleware and each mode, so that a test may change the list.
    """
    made: dict[tuple[str, ...], ClientHandler] = {}
    load = ClientHandler.load_middleware

    def share(handler: ClientHandler, is_async: bool = False) -> None:
        key = (str(is_async), str(settings.DEBUG), *settings.MIDDLEWARE)
        if key not in made:
            load(handler, is_async)
            made[key] = handler
        elif handler is not made[key]:
            for name in ("_view_middleware", "_template_response_middleware", "_exception_middleware"):
                setattr(handler, name, getattr(made[key], name))
            handler._middleware_chain = made[key]._middleware_chain

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientHandler, "load_middleware", share)
        yield
