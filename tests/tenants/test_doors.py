"""Every address of the product, asked by nobody and by somebody who belongs nowhere: closed unless listed as open."""

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from console.tenants.middleware import OPEN_PATHS, PLATFORM

SAMPLES = {"slug": "northwind", "uuid": str(uuid4()), "int": "1", "small": "1", "str": "x", "path": "x"}


def addresses(patterns, before=""):
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"<(?:(\w+):)?\w+>", lambda found: SAMPLES.get(found[1] or "str", "x"), route)
        else:
            yield from addresses(pattern.url_patterns, route)


def closed():
    found = {each for each in addresses(get_resolver().url_patterns) if not re.search(r"[\^$\\*]", each)}
    return sorted(each for each in found if each not in OPEN_PATHS and not each.startswith("/static/"))


def test_the_list_is_the_products_own():
    assert {"/queue/", "/runs/", "/credentials/", "/audit/", "/api/v1/runs", "/api/v1/approvals"} <= set(closed())


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
def test_nobody_gets_in(world, method):
    client = Client()
    for address in closed():
        answer = getattr(client, method)(address)
        if address.startswith("/api/"):
            assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json"), address
        else:
            assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/"), address


def test_who_belongs_nowhere_sees_nothing(world):
    for address in closed():
        expected = 401 if address.startswith("/api/") else 404 if address.startswith(PLATFORM) else 403
        assert world.stranger.get(address).status_code == expected, address
