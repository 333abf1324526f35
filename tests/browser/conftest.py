"""A real server (uvicorn in a thread, on the test's database) and a real browser."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.approvals.desk import Desk, make_desk
from tests.world import Member, World, world

__all__ = ["world"]


@pytest.fixture(scope="package")
def chromium() -> Generator[Browser]:
    """A browser for the tests of this directory, which open contexts of their own in it. Playwright keeps an event loop
    on this thread for as long as it lives, under which Django's ORM and ``asyncio.run`` refuse to work: so not for the
    whole session, and the ORM is told to bear it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("SAYSO_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No broker listens: wake-ups are collected."""
    sent: list[str] = []
    monkeypatch.setattr("console.runs.wakeups.send", lambda run_id, **_: sent.append(str(run_id)) or True)
    return sent


@pytest.fixture
def server(transactional_db: None, woken: list[str]) -> Generator[str]:
    """The address of the product, served as ``up`` serves it."""
    from console.asgi import application

    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(64)
    config = uvicorn.Config(
        application, lifespan="on", ws="websockets-sansio", log_config=None, timeout_graceful_shutdown=1
    )
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    while not web.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(timeout=0.01)
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    web.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive(), "the server did not stop"
    gc.collect()  # here, where what browsers left half read may be closed by the collector without a complaint


@pytest.fixture
def desk(server: str, world: World) -> Desk:
    """Northwind's refund desk, committed."""
    return make_desk(world.northwind)


@pytest.fixture
def visit(server: str, chromium: Browser) -> Generator[Callable[..., Page]]:
    """``visit(member, path)`` opens a page as that person, in a browser of their own; errors on it fail the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(member: Member | None, path: str, **options: Any) -> Page:
        context = chromium.new_context(base_url=server, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        if member is not None:
            context.add_cookies(
                [
                    {
                        "name": settings.SESSION_COOKIE_NAME,
                        "value": member.client.cookies[settings.SESSION_COOKIE_NAME].value,
                        "url": server,
                    }
                ]
            )
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults, faults


def intercept(page: Page, pattern: str, handler: Callable[[Route], object]) -> None:
    """Have a page's requests answered by the test, from a reload of the page on.

    Without the reload one may slip by: the browser begins to ask for a document's requests somewhat after it was told.
    The document's own request goes through.
    """
    page.route(
        pattern, lambda route: route.continue_() if route.request.resource_type == "document" else handler(route)
    )
    page.reload()


def caught(page: Page, held: Sequence[Route], part: str) -> Route:
    """The request among those held back whose address has this part, once it is there."""
    for _ in range(2000):
        for route in held:
            if part in route.request.url:
                return route
        page.wait_for_timeout(10)
    raise AssertionError(f"no request for {part}")


expect.set_options(timeout=20_000)  # a loaded machine is not a failure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers drop connections; Django and whitenoise then leave files to the garbage collector, which complains.

    What takes long begins first, so that no worker is left with it at the end: a test in a browser takes seconds, one of
    whole instances a minute. The order is otherwise left as it is.
    """
    items.sort(key=lambda item: "tests/browser" in str(item.path))
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
            item.add_marker(
                pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
            )  # whitenoise
