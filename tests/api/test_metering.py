"""The API's own metrics: what Prometheus scrapes, and who may read it."""

from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from schemas.secrets import Secret
from tests.harness.metrics import parsed
from topology.api.settings import TenantToken

OPERATOR, ACME = "o" * 32, "a" * 32

Start = Callable[..., Coroutine[Any, Any, str]]


async def scrape(base: str) -> dict[tuple[str, ...], float]:
    """Requests so far, by route and status."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{base}/metrics", headers={"Authorization": f"Bearer {OPERATOR}"}) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/plain")
        found = parsed(await answer.text())
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in found.samples
        if sample.name == "sentinel_api_requests_total"
    }


async def test_every_answer_is_counted_under_its_route(address: Start) -> None:
    """Answers, refusals and paths that lead nowhere; a path that a stranger makes up is no series
    of its own.
    """
    base = await address(token=Secret(OPERATOR))
    before = await scrape(base)
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    async with aiohttp.ClientSession() as client:
        for path, given in (
            ("/api/v1/incidents?tenant=acme", headers),
            ("/api/v1/incidents?tenant=acme", {}),
            ("/nowhere/1", headers),
            ("/nowhere/2", headers),
        ):
            async with client.get(base + path, headers=given) as answer:
                await answer.read()
    after = await scrape(base)
    grown = {
        key: count - before.get(key, 0)
        for key, count in after.items()
        if count != before.get(key, 0)
    }
    grown.pop(("/metrics", "200"), None)
    assert grown == {
        ("/api/v1/incidents", "200"): 1,
        ("/api/v1/incidents", "401"): 1,
        ("other", "404"): 2,
    }


async def test_metrics_are_for_operators(address: Start) -> None:
    """They tell of all tenants: no token and a single tenant's are refused."""
    base = await address(token=Secret(OPERATOR), tenant_tokens=(TenantToken("acme", Secret(ACME)),))
    async with aiohttp.ClientSession() as client:
        for given, status in (({}, 401), ({"Authorization": f"Bearer {ACME}"}, 403)):
            async with client.get(f"{base}/metrics", headers=given) as answer:
                assert answer.status == status
