"""`sentinel doctor`: each line says how it is and what to do, and the exit status says whether
something has failed.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from connectors.store.sqlite.store import EmbeddedStore
from streams.client.brokers import producer_config
from streams.settings import Broker
from topology.supervision.ports import free_port


def _doctor(folder: Path, settings: object) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Exit status, and the checks by what they look at."""
    path = folder / "sentinel.yaml"
    path.write_text(yaml.safe_dump(settings))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    command = [sys.executable, "-m", "topology", "doctor", "--json", "--config", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=ours, timeout=300, check=False
    )
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    checks: dict[str, list[dict[str, str]]] = {}
    for check in report["checks"]:
        assert (check["health"] == "ok") == (not check["advice"])
        checks.setdefault(check["what"], []).append(check)
    return done.returncode, checks


def test_without_a_broker_it_says_so_and_looks_at_the_rest(tmp_path: Path) -> None:
    """One failure does not hide the others, and no secret is shown."""
    receivers = [{"name": "pager", "kind": "pagerduty", "secret": "geheim"}]
    status, checks = _doctor(
        tmp_path,
        {
            "broker": {"bootstrap_servers": f"127.0.0.1:{free_port()}", "connect_timeout_s": 1},
            "alerting": {"receivers": receivers},
            "store": {"kind": "embedded", "path": str(tmp_path / "none.db")},
            "api": {"port": free_port()},
            "correlation": {"quiet_s": 20},
        },
    )
    assert status == 1
    assert [
        checks[what][0]["health"]
        for what in ("broker", "topics", "receivers", "store", "page", "settings")
    ] == [
        "failed",
        "warning",
        "failed",
        "warning",
        "failed",
        "warning",
    ]
    assert "correlation.quiet_s" in checks["settings"][0]["detail"]
    assert "geheim" not in json.dumps(checks)
    assert not (tmp_path / "none.db").exists()


def test_with_a_broker_every_part_of_kafka_is_looked_at(
    tmp_path: Path, kafka: str, topic_prefix: str
) -> None:
    """Missing topics and workers fail; after `topics create` the topics are well, and an event
    shows the broker's clock.
    """
    given = {
        "broker": {"bootstrap_servers": kafka, "topic_prefix": topic_prefix},
        "lanes": {"partitions": 2},
        "worker": {"control_key": "k" * 32},
    }
    status, checks = _doctor(tmp_path, given)
    assert status == 1
    assert "sentinel topics create" in checks["topics"][0]["advice"]
    create = [
        sys.executable,
        "-m",
        "topology",
        "topics",
        "create",
        "--config",
        str(tmp_path / "sentinel.yaml"),
    ]
    subprocess.run(create, check=True, capture_output=True)
    producer = Producer(producer_config(Broker(bootstrap_servers=kafka)))
    producer.produce(f"{topic_prefix}telemetry", b"x", b"y")
    assert producer.flush(120) == 0
    status, checks = _doctor(tmp_path, given)
    assert [
        check["health"] for what in ("broker", "topics", "clocks") for check in checks[what]
    ] == ["ok"] * 3
    assert [check["detail"] for check in checks["groups"]] == [
        f"{stage}: no worker" for stage in ("detect", "correlate", "alert")
    ]
    assert {check["detail"].partition(":")[0] for check in checks["lanes"]} == {
        "detect",
        "correlate",
        "alert",
    }


@pytest.mark.parametrize(
    ("spoil", "health", "says"),
    [
        (lambda path: path.chmod(0o644), "warning", "can be read by other users (0644)"),
        (lambda path: path.write_bytes(b"x" * 8192), "failed", "not a database"),
        (lambda path: path.chmod(0o600), "ok", "MB"),
    ],
    ids=["open to others", "no database", "well"],
)
def test_a_store_that_is_not_well_is_told(
    tmp_path: Path, spoil: object, health: str, says: str
) -> None:
    """Modes and content; it is only read."""
    path = tmp_path / "sentinel.db"

    async def make() -> None:
        store = EmbeddedStore(str(path))
        await store.start()
        await store.close()

    asyncio.run(make())
    assert callable(spoil)
    spoil(path)
    broker = {"bootstrap_servers": f"127.0.0.1:{free_port()}", "connect_timeout_s": 1}
    _, checks = _doctor(
        tmp_path, {"broker": broker, "store": {"kind": "embedded", "path": str(path)}}
    )
    assert any(
        check["health"] == health and says in check["detail"] for check in checks["store"]
    ), checks["store"]
