"""Every route, whatever it is: nobody reaches it without being let in, and only with what it
takes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from connectors.store.sqlite.store import EmbeddedStore
from schemas.secrets import Secret
from streams.settings import Broker
from tests.api.conftest import KEY
from topology.api.commands import Commands
from topology.api.permissions import ACCESS, Access
from topology.api.routes import Route
from topology.api.serving import application
from topology.api.settings import ApiSettings, TenantToken
from topology.api.table import ROUTES

Client = TestClient[web.Request, web.Application]
ClientOf = Callable[[web.Application], Awaitable[Client]]

OPERATOR, ACME = "o" * 32, "a" * 32
TOKENS = {"token": Secret(OPERATOR), "tenant_tokens": (TenantToken("acme", Secret(ACME)),)}

PUBLIC = {"/", "/explore", "/pipeline", "/live"}
"""Paths that are served to everybody, beside the page's files and the documentation."""
PUBLIC_PREFIXES = ("/static/", "/docs/", "/incidents/", "/anomalies/")

every_route = pytest.mark.parametrize(
    "route", ROUTES, ids=lambda route: f"{route.method} {route.path}"
)


def path(route: Route) -> str:
    """An address of it."""
    return route.path.replace("{id}", "0" * 32)


@pytest.fixture
def app(store: EmbeddedStore, broker: Broker) -> web.Application:
    """Everything that the API serves, not started."""
    return application(store, ApiSettings(**TOKENS), Commands(broker, KEY))


@pytest.fixture
async def client_of() -> AsyncIterator[ClientOf]:
    """Serves an application, and gives what asks it over HTTP."""
    async with AsyncExitStack() as stack:

        async def serve(app: web.Application) -> Client:
            server = TestServer(app, host="127.0.0.1")
            return await stack.enter_async_context(TestClient(server))

        yield serve


def test_only_the_page_and_the_liveness_check_are_public(app: web.Application) -> None:
    """Every route has a permission, and none that shows data is open to everybody."""
    routes = {route.resource.canonical: app[ACCESS].get(route) for route in app.router.routes()}
    assert None not in routes.values()
    public = {path for path, access in routes.items() if access is Access.PUBLIC}
    assert {path for path in public if not path.startswith(PUBLIC_PREFIXES)} == PUBLIC


async def test_whatever_is_not_public_refuses_a_request_without_a_token(
    app: web.Application, client_of: ClientOf
) -> None:
    """Of all routes that the application has, also those that the description does not list."""
    client = await client_of(app)
    closed = [route for route in app.router.routes() if app[ACCESS][route] is not Access.PUBLIC]
    assert len(closed) > len(ROUTES)
    for route in closed:
        address = route.resource.canonical.replace("{id}", "0" * 32)
        async with client.request(route.method, address) as answer:
            assert answer.status == 401, address


async def test_a_route_without_a_permission_is_never_served(
    app: web.Application, client_of: ClientOf
) -> None:
    """Not even to operators: one that was forgotten is closed, not open."""

    async def forgotten(request: web.Request) -> web.Response:
        return web.Response(text="secret")

    app.router.add_get("/forgotten", forgotten)
    client = await client_of(app)
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with client.get("/forgotten", headers=headers) as answer:
        assert (answer.status, "secret" in await answer.text()) == (500, False)


@every_route
async def test_no_route_answers_without_a_token(served: Any, route: Route) -> None:
    """Where one is set; a token that is wrong is told in other words than one that is missing."""
    ask = await served(**TOKENS)
    body = None if route.body is None else {}
    status, missing = await ask(path(route), route.method, body)
    assert status == 401
    status, wrong = await ask(path(route), route.method, body, Authorization="Bearer " + "w" * 32)
    assert status == 401
    assert "none was given" in missing["detail"]
    assert "wrong" in wrong["detail"]


@every_route
async def test_no_route_shows_a_tenant_what_is_anothers(served: Any, route: Route) -> None:
    """Neither by naming the other, nor what is about all; nothing changes without a key to sign
    with.
    """
    ask = await served(key=Secret(""), **TOKENS)
    body = None if route.body is None else {"tenant": "other"}
    status, _ = await ask(
        f"{path(route)}?tenant=other", route.method, body, Authorization=f"Bearer {ACME}"
    )
    if route.access is Access.READ:
        assert status == (403 if "tenant" in route.query.model_fields else 400)
    else:
        assert status == 403


@every_route
async def test_what_changes_something_is_marked_so(served: Any, route: Route) -> None:
    """Reading is GET; on loopback without tokens everything but reading is refused."""
    assert (route.access is Access.ACT) == (route.method != "GET")
    ask = await served()
    status, _ = await ask(path(route), route.method, None if route.body is None else {})
    assert (status == 401) == (route.access is Access.ACT)


@every_route
async def test_no_route_takes_what_it_does_not_know(served: Any, route: Route) -> None:
    """With the name of it."""
    ask = await served(**TOKENS)
    body = None if route.body is None else {}
    given = {"Authorization": f"Bearer {OPERATOR}"}
    status, problem = await ask(
        f"{path(route)}?tenant=acme&colour=red", route.method, body, **given
    )
    assert (status, "colour" in problem["detail"]) == (400, True)
