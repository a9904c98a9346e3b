"""Every route, whatever it is: nobody reaches it without being let in, and only with what it takes."""

from typing import Any

import pytest

from schemas.secrets import Secret
from topology.api.routes import Access, Route
from topology.api.settings import TenantToken
from topology.api.table import ROUTES

OPERATOR, ACME = "o" * 32, "a" * 32
TOKENS = {"token": Secret(OPERATOR), "tenant_tokens": (TenantToken("acme", Secret(ACME)),)}

every_route = pytest.mark.parametrize(
    "route", ROUTES, ids=lambda route: f"{route.method} {route.path}"
)


def path(route: Route) -> str:
    """An address of it."""
    return route.path.replace("{id}", "0" * 32)


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
