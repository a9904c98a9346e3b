"""`incidents`, `anomalies`, `messages` and `audit`: the same from the store and from an API, for
people and for programs.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.records.anomalies import Severity
from schemas.records.control import Audit, AuditOutcome
from schemas.records.incidents import IncidentState
from streams.client.brokers import producer_config
from streams.settings import Broker
from tests.cli.test_light import HEAVY, modules
from tests.harness.store_documents import START, anomaly, incident, notification, of
from topology.supervision.embedded import EmbeddedBroker
from topology.supervision.ports import free_port

MINUTE = 60_000_000
TOKEN = "t" * 32


def _sentinel(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    return subprocess.run(
        [sys.executable, "-m", "topology", *words],
        capture_output=True,
        text=True,
        env={**ours, **variables},
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Settings with a store of two tenants: each has three incidents, three anomalies and a
    message.
    """
    folder = tmp_path_factory.mktemp("listing")

    async def fill() -> None:
        store = EmbeddedStore(str(folder / "sentinel.db"))
        await store.start()
        for tenant in ("acme", "zebra"):
            for number in range(3):
                state = IncidentState.OPEN if number else IncidentState.RESOLVED
                one = incident(number, 1, tenant, severity=list(Severity)[number + 2], state=state)
                found = anomaly(number, tenant, metric="cost" if number else "latency")
                await store.write([of(Kind.INCIDENT, one), of(Kind.ANOMALY, found)])
            await store.write([of(Kind.NOTIFICATION, notification(1, tenant))])
        hostile = incident(9, 1, "acme", title="\x1b[31mred\x07\nline")
        await store.write([of(Kind.INCIDENT, hostile)])
        await store.close()

    asyncio.run(fill())
    path = folder / "sentinel.yaml"
    settings = {
        "store": {"kind": "embedded", "path": str(folder / "sentinel.db")},
        "api": {"token": TOKEN},
    }
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.fixture(scope="module")
def api(config: str) -> Iterator[str]:
    """Address of a real API over the same store."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "topology", "api", "--config", config]
    with subprocess.Popen(
        command, env={**os.environ, "SENTINEL_API__PORT": str(port)}, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            while b"http" not in (line := process.stderr.readline()):
                assert line, "the API ended"
            yield address
        finally:
            process.kill()


def _items(*words: str) -> list[dict[str, Any]]:
    done = _sentinel(*words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return items


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (("incidents",), [9, 2, 2, 1, 1, 0, 0]),
        (("incidents", "--tenant", "zebra"), [2, 1, 0]),
        (("incidents", "--tenant", "zebra", "--state", "open"), [2, 1]),
        (("incidents", "--tenant", "zebra", "--severity", "high", "--severity", "medium"), [1, 0]),
        (("incidents", "--tenant", "zebra", "--since", "2026-05-28T20:28:00+00:00"), [2]),
        (("incidents", "--application", "nothing"), []),
        (("incidents", "--limit", "3"), [9, 2, 2]),
        (("anomalies", "--tenant", "zebra", "--metric", "cost"), [2, 1]),
    ],
)
def test_store_and_api_answer_alike(
    words: tuple[str, ...], ids: list[int], config: str, api: str
) -> None:
    """The newest first, every tenant unless one is named; times are RFC 3339 in both."""
    stored = _items(*words, "--config", config)
    assert [int(one["id"], 16) for one in stored] == ids
    assert sorted(_items(*words, "--config", config, "--api", api), key=str) == sorted(
        stored, key=str
    )
    assert all(
        one[name].endswith("Z")
        for one in stored
        for name in ("opened_at", "event_time")
        if name in one
    )


def test_people_read_a_table_without_control_characters(config: str) -> None:
    """What a producer wrote into a title cannot colour the terminal or move its cursor."""
    done = _sentinel("incidents", "--config", config)
    assert done.stdout.startswith("opened_at")
    assert len(done.stdout.splitlines()) == 8
    assert "\x1b" not in done.stdout
    assert "[31mred" in done.stdout
    told = _sentinel("messages", "--config", config, "--tenant", "acme")
    assert told.stdout.startswith("at ")
    assert len(told.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("incidents", "--state", "opn"), "unknown state 'opn'; use one of open, resolved"),
        (("incidents", "--since", "yesterday"), "invalid duration 'yesterday'"),
        (("incidents", "--limit", "0"), "--limit is 0; it must be 1 to 1000"),
        (("messages", "--outcome", "lost"), "unknown outcome 'lost'"),
        (("incidents", "--api", "ftp://x"), "--api must begin with https:// or http://"),
        (
            ("incidents", "--api", "http://127.0.0.1:1"),
            "no Sentinel API answers at http://127.0.0.1:1",
        ),
        (("incidents", "--token-file", "x"), "--token-file is for --api"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], says: str, config: str) -> None:
    """Status 1, and what to do."""
    done = _sentinel(*words, "--config", config)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert says in line


def test_a_wrong_token_and_a_missing_store_are_told(tmp_path: Path, config: str, api: str) -> None:
    """And no store is made by looking for it."""
    (tmp_path / "token").write_text("w" * 32)
    done = _sentinel(
        "incidents", "--config", config, "--api", api, "--token-file", str(tmp_path / "token")
    )
    assert (done.returncode, "answers 401" in done.stderr) == (1, True)
    missing = tmp_path / "none.db"
    done = _sentinel(
        "incidents", SENTINEL_STORE__KIND="embedded", SENTINEL_STORE__PATH=str(missing)
    )
    assert (done.returncode, "the stage `sink` makes it" in done.stderr) == (1, True)
    assert not missing.exists()
    assert "set store.kind" in _sentinel("incidents").stderr


def test_audit_lists_what_people_asked_for() -> None:
    """The newest first; what is no record of ours is passed over."""
    with EmbeddedBroker() as embedded:
        producer = Producer(
            producer_config(Broker(bootstrap_servers=embedded.address, embedded=True))
        )
        for number in range(3):
            at = START + number * MINUTE
            one = Audit(
                id=f"{number:032x}",
                tenant="zebra" if number else "acme",
                command_id="c",
                action="silence",
                author="kim",
                asked_at=at,
                at=at,
                target="",
                outcome=AuditOutcome.APPLIED,
                detail="",
            )
            producer.produce("sentinel.audit", one.to_bytes(), one.tenant)
        producer.produce("sentinel.audit", b"garbage", b"x")
        assert producer.flush(120) == 0
        done = _sentinel("audit", "--json", **embedded.environment)
        assert done.returncode == 0, done.stderr
        assert [int(one["id"], 16) for one in json.loads(done.stdout)["items"]] == [2, 1, 0]
        table = _sentinel("audit", "--tenant", "acme", **embedded.environment).stdout.splitlines()
    assert len(table) == 2
    assert table[1].split()[:4] == ["2026-05-28T20:26:40Z", "silence", "applied", "acme"]


@pytest.mark.parametrize(
    "words", [("incidents",), ("anomalies", "--json"), ("messages",)], ids=" ".join
)
def test_listing_loads_nothing_heavy(words: tuple[str, ...], config: str) -> None:
    """They read one SQLite file, and need no client of Kafka or Elasticsearch for it."""
    status, loaded = modules(*words, "--config", config)
    assert status == 0
    assert loaded & {*HEAVY, "aiohttp"} == set()
