"""The JSON API over a real store: what it answers, whom it answers, and how it says no."""

import base64
import json
from typing import Any

import pytest

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind, StoreUnavailable
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from tests.api.conftest import MARKUP
from tests.harness.store_documents import SECOND, START, aggregate, anomaly, of
from topology.api.settings import ApiSettings, TenantToken
from topology.api.times import rfc3339

OPERATOR, ACME = "o" * 32, "a" * 32


async def test_documents_are_found_by_what_they_say_and_come_newest_first(served: Any) -> None:
    """By time in both spellings, by severity, by field; with a cursor to what comes next."""
    ask = await served()
    status, page = await ask("/api/v1/anomalies?tenant=acme&limit=2")
    assert (status, [one["offset"] for one in page["items"]]) == (200, [4, 3])
    _, rest = await ask(f"/api/v1/anomalies?tenant=acme&limit=3&cursor={page['next']}")
    assert ([one["offset"] for one in rest["items"]], rest["next"]) == ([2, 1, 0], None)
    _, grave = await ask("/api/v1/anomalies?tenant=acme&severity=high&severity=critical")
    assert [one["severity"] for one in grave["items"]] == ["critical", "high"]
    _, late = await ask(f"/api/v1/anomalies?tenant=acme&since={START + 3 * SECOND}")
    assert [one["offset"] for one in late["items"]] == [4, 3]
    _, early = await ask("/api/v1/anomalies?tenant=acme&until=2026-05-28T22:26:41%2B02:00")
    assert [one["offset"] for one in early["items"]] == [0]
    _, none = await ask("/api/v1/incidents?tenant=acme&state=resolved")
    assert none == {"items": [], "next": None}


async def test_an_incident_and_its_anomalies_are_found_from_its_id(served: Any) -> None:
    """Texts come as they were: JSON, which nothing takes for a page."""
    ask = await served()
    _, page = await ask(f"/api/v1/incidents?tenant=acme&state={IncidentState.OPEN.value}")
    (found,) = page["items"]
    assert found["title"] == MARKUP
    assert (await ask(f"/api/v1/incidents/{found['id']}?tenant=acme"))[1] == found
    _, anomalies = await ask(f"/api/v1/incidents/{found['id']}/anomalies?tenant=acme")
    assert [one["id"] for one in anomalies["items"]] == found["anomaly_ids"]
    _, one = await ask(f"/api/v1/anomalies/{found['anomaly_ids'][0]}?tenant=acme")
    assert one["evidence"][0] == {"name": "requests", "value": 12.0}
    status, problem = await ask(f"/api/v1/incidents/{'0' * 32}?tenant=acme")
    assert (status, problem["title"]) == (404, "Not Found")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("tenant=", "tenant"),
        (f"tenant={'x' * 257}", "tenant"),
        (f"tenant={'%C3%A4' * 129}", "tenant"),
        ("tenant=acme&limit=0", "limit"),
        ("tenant=acme&limit=1_0", "limit"),
        ("tenant=acme&limit=+9", "limit"),
        (f"tenant=acme&limit={'9' * 5000}", "limit"),
        ("tenant=acme&limit=nan", "limit"),
        ("tenant=acme&times=iso", "times"),
        (f"tenant=acme&cursor={'x' * 300}", "cursor"),
        ("tenant=acme&limit=10&limit=20", "limit"),
        ("tenant=acme&severity=worst", "severity"),
        ("tenant=acme&since=yesterday", "since"),
        ("tenant=acme&since=2026-05-28T20:00:00", "since"),
        ("tenant=acme&colour=red", "colour"),
        (f"tenant=acme&since={10**30}", "since"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong_with_it(
    served: Any, query: str, parameter: str
) -> None:
    """With the parameter's name."""
    ask = await served()
    status, problem = await ask(f"/api/v1/anomalies?{query}")
    assert (status, problem["status"]) == (400, 400)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]
    assert problem["errors"][0]["reason"]


def _cursor(*place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        _cursor(2**63, "0" * 32),
        _cursor(-(2**63) - 1, "0" * 32),
        _cursor(True, "0" * 32),
        _cursor(1.5, "0" * 32),
        _cursor(START),
        _cursor(START, "0" * 99),
        _cursor(START, None),
        "e30=",
        "%2B%2F%3D",
    ],
)
async def test_a_cursor_that_no_page_gave_is_refused(served: Any, cursor: str) -> None:
    """Whatever it holds: with 400, in each list."""
    ask = await served()
    for path in ("anomalies", "incidents", "notifications"):
        status, problem = await ask(f"/api/v1/{path}?tenant=acme&cursor={cursor}")
        assert (status, "cursor" in problem["detail"]) == (400, True)


@pytest.mark.parametrize(
    "query",
    [
        "tenant=acme&cursor=forged",
        "tenant=acme&since=5&until=5",
        "tenant=acme&severity=high&until=1&since=2",
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused(served: Any, query: str) -> None:
    """A forged cursor; a span without time."""
    status, problem = await (await served())(f"/api/v1/anomalies?{query}")
    assert status == 400
    assert problem["detail"]


@pytest.mark.parametrize("query", ["tenant=%ff", "tenant=acme&user=%ED%A0%80", "tenant=acme&%c0=1"])
async def test_what_is_no_text_is_refused(served: Any, query: str) -> None:
    """Replaced by something else it would name another."""
    status, problem = await (await served())(f"/api/v1/anomalies?{query}")
    assert (status, "UTF-8" in problem["detail"]) == (400, True)


async def test_whatever_telemetry_names_can_be_asked_for(served: Any, store: EmbeddedStore) -> None:
    """Also what has control characters in its name."""
    await store.write([of(Kind.ANOMALY, anomaly(1, "a\x07\u202eb"))])
    _, page = await (await served())("/api/v1/anomalies?tenant=a%07%E2%80%AEb")
    assert [one["tenant"] for one in page["items"]] == ["a\x07\u202eb"]


async def test_a_series_is_asked_for_whole(served: Any) -> None:
    """Known metrics only, and a span of time."""
    ask = await served()
    subject = "tenant=acme&application=shop&model=heron"
    assert (await ask(f"/api/v1/series?{subject}&metric=latency&since=0&until=1"))[1] == {
        "items": [],
        "next": None,
    }
    assert (await ask(f"/api/v1/series?{subject}&metric=mood&since=0&until=1"))[0] == 400
    assert (await ask(f"/api/v1/series?{subject}&metric=latency&since=1&until=1"))[0] == 400


async def test_tenants_and_subjects_are_listed_to_choose_from(
    served: Any, store: EmbeddedStore
) -> None:
    """Operators see all tenants; with a tenant's token there is one."""
    await store.write([of(Kind.AGGREGATE, aggregate(1))])
    ask = await served(token=Secret(OPERATOR), tenant_tokens=(TenantToken("acme", Secret(ACME)),))
    operator, acme = ({"Authorization": f"Bearer {token}"} for token in (OPERATOR, ACME))
    assert (await ask("/api/v1/tenants", **operator))[1]["items"] == [
        {"tenant": "acme"},
        {"tenant": "other"},
    ]
    assert (await ask("/api/v1/tenants", **acme))[1]["items"] == [{"tenant": "acme"}]
    newest = START + 10 * SECOND
    known = [{"application": "shop", "model": "heron", "newest": rfc3339(newest)}]
    assert (await ask("/api/v1/subjects", **acme))[1]["items"] == known
    assert (await ask("/api/v1/subjects?tenant=other", **operator))[1]["items"] == []
    assert (await ask("/api/v1/tenants?tenant=acme", **acme))[0] == 400


async def test_a_tenants_token_opens_its_own_documents_and_no_others(served: Any) -> None:
    """Without naming a tenant; naming another is refused, and an id of another tenant is not
    there.
    """
    ask = await served(token=Secret(OPERATOR), tenant_tokens=(TenantToken("acme", Secret(ACME)),))
    bearer = {"Authorization": f"Bearer {ACME}"}
    _, page = await ask("/api/v1/anomalies", **bearer)
    assert {one["tenant"] for one in page["items"]} == {"acme"}
    assert (await ask("/api/v1/anomalies?tenant=other", **bearer))[0] == 403
    assert (await ask("/api/v1/anomalies?tenant=other", Authorization=f"Bearer {OPERATOR}"))[
        0
    ] == 200


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer \udcff"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": ""},
    ],
)
async def test_without_a_valid_token_nothing_is_told(served: Any, given: dict[str, str]) -> None:
    """Not even whether a document is there. On loopback nobody needs one as long as none is set."""
    ask = await served(token=Secret(OPERATOR))
    status, problem = await ask("/api/v1/anomalies?tenant=acme", **given)
    assert (status, "items" in problem) == (401, False)
    assert (await ask("/live"))[0] == 200


OTHER_PORT = {"Origin": "http://localhost:3000"}
"""Another server of this machine: its pages are somebody else's."""
TUNNEL = {"Origin": "http://localhost:9000", "Host": "localhost:9000"}


async def test_pages_of_other_names_do_not_reach_it(served: Any) -> None:
    """A foreign Host is how a page of the web asks by DNS rebinding, a foreign Origin how its
    script does.
    """
    ask = await served(token=Secret(OPERATOR), allowed_hosts=("sentinel.example",))
    path, token = "/api/v1/anomalies?tenant=acme", {"Authorization": f"Bearer {OPERATOR}"}
    for headers in (
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "["},
        OTHER_PORT,
    ):
        assert (await ask(path, **headers, **token))[0] == 403, headers
    for headers in (
        {"Host": "sentinel.example:443"},
        {"Origin": "https://sentinel.example"},
        {"Host": "LOCALHOST"},
        TUNNEL,
    ):
        assert (await ask(path, **headers, **token))[0] == 200, headers


async def test_a_store_that_is_down_is_a_problem_that_passes(
    served: Any, store: EmbeddedStore, monkeypatch: Any
) -> None:
    """503 with the time to wait; a defect of ours is a 500 that tells nothing of the inside."""
    ask = await served()

    async def down(search: object) -> None:
        raise StoreUnavailable("disk full at /secret/path")

    monkeypatch.setattr(store, "search", down)
    status, problem = await ask("/api/v1/anomalies?tenant=acme")
    assert (status, "secret" in str(problem)) == (503, False)

    async def broken(search: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(store, "search", broken)
    status, problem = await ask("/api/v1/anomalies?tenant=acme")
    assert (status, "inside" in str(problem)) == (500, False)
    assert (await ask("/nowhere"))[0] == 404


async def test_the_description_names_every_question_and_every_reference_resolves(
    served: Any,
) -> None:
    """OpenAPI 3.1, with units from the schemas; each question that it names is answered."""
    ask = await served()
    _, described = await ask("/api/v1/openapi.json")
    assert described["openapi"] == "3.1.0"
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            names = {one["name"] for one in operation["parameters"]}
            query = "?tenant=acme" if "tenant" in names else ""
            status, _ = await ask(path.replace("{id}", "x") + query, method.upper())
            assert status in ((200, 400, 404) if method == "get" else (401,)), path
    for reference in _references(described):
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]
    assert (
        "microseconds"
        in described["components"]["schemas"]["Incident"]["properties"]["opened_at"]["description"]
    )


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for one in part.values() for found in _references(one)]
    return [found for one in part for found in _references(one)] if isinstance(part, list) else []


def test_an_address_that_others_reach_needs_a_token() -> None:
    """And no token is short."""
    with pytest.raises(ValueError, match="give token_file"):
        ApiSettings(host="0.0.0.0")
    for others in (
        {"tenant_tokens": (TenantToken("acme", Secret(ACME)),)},
        {"allowed_hosts": ("sentinel.example",)},
    ):
        with pytest.raises(ValueError, match="count as an operator"):
            ApiSettings(**others)
    with pytest.raises(ValueError, match="shorter than 16"):
        ApiSettings(token=Secret("short"))
    ApiSettings(host="0.0.0.0", token=Secret(OPERATOR))
