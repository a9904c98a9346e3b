"""From an event on Kafka to the API, through `sentinel standalone` with a store."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from schemas.documents import Kind
from tests.harness.telemetry_log import good
from tests.harness.worker import Installation, until
from tests.stages.standalone import standalone
from topology.supervision.ports import free_port


def asked(port: int, path: str) -> list[dict[str, Any]]:
    """What the API lists; nothing while it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
            items: list[dict[str, Any]] = json.load(answer)["items"]
            return items
    except OSError:
        return []


def test_a_broken_rule_is_an_incident_that_the_api_tells_of(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """The incident, the anomaly that made it, and that a message was decided; kill -9 of everything
    loses none of it.
    """
    rule = {
        "name": "any",
        "metric": "latency_us",
        "comparison": ">",
        "threshold": -1,
        "severity": "high",
    }
    port = free_port()
    sections: dict[str, dict[str, object]] = {
        # For ever: the event is of times past.
        "store": {
            "kind": "embedded",
            "path": str(tmp_path / "s.db"),
            "retention": {f"{kind}_days": None for kind in Kind},
        },
        "api": {"port": port},
        "detection": {"rules": [rule]},
        "alerting": {"receivers": [{"name": "log", "kind": "log"}]},
    }
    installation = Installation(kafka, topic_prefix, tmp_path).with_topics()
    event = good(0, 0).value
    with standalone(installation, **sections):
        installation.send(installation.names.telemetry, 0, [event])
        until(
            lambda: (
                asked(port, "incidents?tenant=acme") and asked(port, "notifications?tenant=acme")
            ),
            "told of",
        )
        (incident,) = asked(port, "incidents?tenant=acme")
        (anomaly,) = asked(port, f"incidents/{incident['id']}/anomalies?tenant=acme")
    assert anomaly["id"] in incident["anomaly_ids"]
    with standalone(installation, **sections):
        until(lambda: asked(port, "incidents?tenant=acme"), "still there")
        assert [one["id"] for one in asked(port, "incidents?tenant=acme")] == [incident["id"]]
