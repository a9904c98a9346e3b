"""Producers without keys, and with other partitioners than ours: nothing is lost, and somebody is
told.
"""

from collections import Counter
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from schemas.documents import Kind
from tests.api.test_whole_way import asked
from tests.harness.telemetry_log import START_MS, event
from tests.harness.worker import Installation, until
from tests.stages.standalone import standalone
from topology.supervision.ports import free_port

LANES: Final = 4
BUCKETS: Final = 6
EACH: Final = 30
"""Events of an application in a bucket."""

PRODUCERS: Final = {
    "no-key": ("random", False),
    "librdkafka": ("consistent_random", True),
    "sarama": ("fnv1a_random", True),
    "ours": ("murmur2_random", True),
}
"""Tenants by how their producers place records, and whether these have a key."""

APPLICATIONS: Final = [f"app{number}" for number in range(8)]
BOTH: Final = "app0"
"""Also sent by a producer of ours, so that it is on two lanes where the other's partitioner is not
murmur2.
"""


def sent(installation: Installation) -> Counter[tuple[str, str]]:
    """Sends bucket by bucket; events by tenant and application."""
    ledger: Counter[tuple[str, str]] = Counter()
    made = {
        tenant: Producer(
            {
                "bootstrap.servers": installation.address,
                "partitioner": partitioner,
                "sticky.partitioning.linger.ms": 0,
            }
        )
        for tenant, (partitioner, _) in PRODUCERS.items()
    }
    for bucket in range(BUCKETS):
        for number in range(EACH):
            for tenant, (_, keyed) in PRODUCERS.items():
                for application in APPLICATIONS:
                    offset = sum(ledger.values())
                    one = event(
                        offset, 10 * bucket + number / EACH, tenant=tenant, application=application
                    )
                    by = "ours" if application == BOTH and number % 2 else tenant
                    key = f"{tenant}/{application}" if keyed or by == "ours" else None
                    made[by].produce(installation.names.telemetry, one.to_bytes(), key)
                    ledger[tenant, application] += 1
        for producer in made.values():
            assert producer.flush(60) == 0
    return ledger


def test_an_application_on_several_lanes_is_counted_whole(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Buckets of all lanes, in the store and by the API, sum up to what was sent; who sends
    otherwise than by murmur2 is named.
    """
    port = free_port()
    sections: dict[str, dict[str, object]] = {
        "store": {
            "kind": "embedded",
            "path": str(tmp_path / "s.db"),
            "retention": {f"{kind}_days": None for kind in Kind},
        },
        "api": {"port": port},
        "alerting": {"receivers": [{"name": "log", "kind": "log"}]},
    }
    installation = Installation(kafka, topic_prefix, tmp_path, LANES).with_topics()
    span = f"since={START_MS * 1000}&until={(START_MS + 1000 * 10 * BUCKETS) * 1000}"

    def counted() -> dict[tuple[str, str], int]:
        found = {}
        for tenant in PRODUCERS:
            for application in APPLICATIONS:
                of = f"tenant={tenant}&application={application}&model=gpt-4o-mini"
                what = f"{of}&metric=request_rate&{span}"
                points = asked(port, f"series?{what}")
                assert len({point["window_start"] for point in points}) == len(points)
                found[tenant, application] = round(sum(10 * point["observed"] for point in points))
        return found

    with standalone(installation, **sections):
        ledger = sent(installation)
        until(lambda: sum(counted().values()) >= sum(ledger.values()), "all is stored")
        assert counted() == ledger
        told = {
            tenant: {
                one["reason"].partition(": ")[2]
                for one in asked(port, f"anomalies?tenant={tenant}&detector=intake&limit=500")
            }
            for tenant in PRODUCERS
        }
    assert {"the producer sends no key; send tenant/application"} == told["no-key"]
    # An application or two on a lane may fit several partitioners.
    assert any("librdkafka's default" in reason for reason in told["librdkafka"]), told
    assert any("FNV-1a" in reason for reason in told["sarama"]), told
    assert not told["ours"]
