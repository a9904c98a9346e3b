"""The API is asked what its own description allows and what it does not: no answer is a defect's,
each is as described.

The long form, `python -m tests.fuzz --long`, asks thirty times as much.
"""

import asyncio
import http.client
import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.records.anomalies import Severity
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from tests.harness.store_documents import aggregate, anomaly, incident, notification, of
from topology.api import openapi
from topology.api.commands import Commands
from topology.api.serving import serving
from topology.api.settings import ApiSettings, TenantToken
from topology.api.table import ROUTES
from topology.stages.standalone import make_topics
from topology.supervision.embedded import EmbeddedBroker

LONG: Final = os.environ.get("SENTINEL_FUZZ") == "long"
EXAMPLES: Final = 300 if LONG else 10
OPERATOR, ACME = "o" * 32, "a" * 32

OPERATIONS: Final = [(route.method, route.path) for route in ROUTES]


class Served:
    """The API in an event loop of its own, over a store that has something of everything."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self._folder, self._broker = folder, broker
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._address: Future[str] = Future()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> str:
        self._thread.start()
        return self._address.result(300)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            store = EmbeddedStore(str(self._folder / "s.db"), 1.0)
            await store.start()
            stack.push_async_callback(store.close)
            for tenant in ("acme", "other"):
                found = [anomaly(number, tenant, severity=Severity.HIGH) for number in range(3)]
                await store.write([of(Kind.ANOMALY, one) for one in found])
                ids = tuple(one.id for one in found)
                await store.write([of(Kind.INCIDENT, incident(1, 1, tenant, anomaly_ids=ids))])
                await store.write([of(Kind.NOTIFICATION, notification(1, tenant))])
                await store.write([of(Kind.AGGREGATE, aggregate(1, tenant))])
            tokens = {
                "token": Secret(OPERATOR),
                "tenant_tokens": (TenantToken("acme", Secret(ACME)),),
            }
            commands = Commands(self._broker, Secret("k" * 32))
            # A connection for each request.
            bounds = {"connections_per_address": 0}
            api = ApiSettings(port=0, **tokens, **bounds)  # type: ignore[arg-type]
            port = await stack.enter_async_context(serving(store, api, commands))
            self._address.set_result(f"http://127.0.0.1:{port}")
            await self._stop.wait()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with EmbeddedBroker() as embedded:
        broker = Broker(
            bootstrap_servers=embedded.address,
            topic_prefix=f"z{uuid.uuid4().hex[:8]}.",
            embedded=True,
        )
        make_topics(broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        with Served(tmp_path_factory.mktemp("api"), broker) as address:
            yield address


@pytest.fixture(scope="module")
def described() -> Any:
    """The API by its own description, as schemathesis reads it."""
    return schemathesis.openapi.from_dict(openapi.description(ROUTES))


PIECES: Final = st.sampled_from(
    [
        *(
            "tenant=acme",
            "tenant=",
            "tenant=%00",
            "tenant=%ff",
            "tenant=%ED%A0%80",
            "tenant=%F0%9F%92%A9",
            "tenant=a&tenant=b",
        ),
        *(
            "limit=1",
            "limit=0",
            "limit=-1",
            "limit=1e3",
            "limit=%D9%A3",
            "limit=99999999999999999999",
            "limit=NaN",
        ),
        *(
            "since=0",
            "since=9223372036854775808",
            "since=-999999999999999999",
            "until=inf",
            "since=2026-05-28T20:00:00Z",
        ),
        *(
            "since=0001-01-01T00:00:00%2B14:00",
            "until=9999-12-31T23:59:59-14:00",
            "times=us",
            "times=",
            "=",
            "&&",
            "%",
            "%zz",
        ),
        *(
            "cursor=W10=",
            "cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDgsIiJd",
            "cursor=%F0",
            "severity=high",
            "severity=HIGH",
            "+=+",
        ),
        *(
            "metric=latency",
            "application=shop",
            "model=heron",
            "since=1&until=2",
            "state=open",
            "outcome=failed",
            ";",
            "x",
        ),
    ]
)
BODIES: Final = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(
                b"[" * 2000,
                b'{"a":' * 900,
                b"null",
                b"1e999",
                b'"\\ud800"',
                b'{"for_s":NaN}',
                b'{"for_s":1e999}',
                b"\xef\xbb\xbf{}",
            ),
            *(
                b'{"author":"\\u0000"}',
                b'{"author":"\\u202e"}',
                b'{"author":"a","author":"b"}',
                b'{"everything":1}',
                b'{"":1}',
            ),
            *(
                b'{"tenant":"acme","for_s":9e15}',
                b'{"tenant":{},"for_s":[]}',
                b'{"matchers":[["application=a"]]}',
            ),
        ]
    ),
)
SEGMENTS: Final = st.sampled_from(
    [f"{1:032x}", "x" * 300, "%00", "%FF", "..", "%2F", "%E2%80%AE", "a%0d%0ab"]
)


@settings(max_examples=30 * EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
@given(
    operation=st.sampled_from(OPERATIONS),
    id=SEGMENTS,
    pieces=st.lists(PIECES, max_size=4),
    body=BODIES,
)
def test_no_bytes_meet_a_defect(
    api: str, operation: tuple[str, str], id: str, pieces: list[str], body: bytes
) -> None:
    """Neither in the path nor in the query nor in the body; a refusal is JSON with its reason."""
    method, path = operation
    connection = http.client.HTTPConnection(api.removeprefix("http://"), timeout=300)
    headers = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json"}
    connection.request(method, f"{path.replace('{id}', id)}?{'&'.join(pieces)}", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    assert answer.status < 500, said
    assert answer.status < 300 or json.loads(said)["detail"]


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not allowed"]
)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_question_meets_a_defect(
    api: str, described: Any, method: str, path: str, mode: GenerationMode
) -> None:
    """What the description allows is answered as it says; what it does not allow is refused, with
    4xx and a reason.
    """
    operation = described[path][method]
    checks = [
        not_a_server_error,
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    ]
    if mode is GenerationMode.NEGATIVE:
        checks.append(negative_data_rejection)

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(
        case=operation.as_strategy(generation_mode=mode), token=st.sampled_from([OPERATOR, ACME])
    )
    def ask(case: Any, token: str) -> None:
        # Which token it is decides only what is seen; the description cannot say that acme's must
        # not name another tenant.
        case.call_and_validate(
            base_url=api, headers={"Authorization": f"Bearer {token}"}, checks=checks
        )

    ask()
