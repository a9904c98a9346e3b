"""The promise of the whole core, in its quick form: kill -9 changes nothing of what is said
(`python -m benchmarks.exactness` is the long one).
"""

import asyncio
import uuid
from array import array
from copy import deepcopy
from dataclasses import dataclass, replace

import pytest
from confluent_kafka import Producer

from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly
from schemas.records.incidents import Incident
from streams.client.brokers import producer_config
from tests.harness.exactness.comparing import references
from tests.harness.exactness.plan import Plan
from tests.harness.exactness.running import Ran, run
from tests.harness.exactness.verdict import Verdict, judged
from tests.harness.reference.detecting import Reference
from tests.harness.reference.reading import Reader, Stored
from tests.harness.reference.tally import Tally

EVENTS, KILLS = 30_000, 3


@dataclass
class Done:
    """A run that is over, and its references."""

    plan: Plan
    ran: Ran
    references: list[Reference]
    said: list[str]


@pytest.fixture(scope="module")
def done(kafka: str) -> Done:
    """Thirty thousand events, each stage killed once, a second worker of detect for a while."""
    said: list[str] = []
    prefix = f"exact{uuid.uuid4().hex[:8]}."
    plan = Plan(kafka, prefix, events=EVENTS, kills=KILLS, subjects=24, seed=7, freezes=False)
    ran = asyncio.run(run(plan, said.append))
    return Done(plan, ran, references(plan, said.append), said)


def test_nothing_differs_after_a_kill_of_every_stage(done: Done) -> None:
    """Every bucket, anomaly, incident, message and row of state is what it would have been; and
    there were some of each.
    """
    verdict = judged(done.plan, done.ran, done.references)
    numbers = verdict.numbers
    assert verdict.is_exact, "\n".join([str(numbers), *map(str, verdict.differing), *done.said])
    assert done.ran.kills == {"detect": 1, "correlate": 1, "alert": 1}
    assert "a second worker of detect has joined" in done.said
    assert all(tally.compared for tally in verdict.tallies), verdict.tallies
    assert done.ran.sent >= EVENTS
    assert verdict.late > 0
    assert verdict.detectors.keys() >= {"threshold", "deviation"}


def test_every_kind_of_damage_is_seen(done: Done) -> None:
    """The comparison is no rubber stamp: whatever is lost, doubled or changed, in any topic, state
    or inbox, is counted under its name.
    """
    plan, ran = done.plan, done.ran
    damaged = deepcopy(done.references)
    broken = next(each for each in damaged if each.slow.closed and each.outputs.anomalies)
    closed = broken.slow.closed
    closed[-1] = replace(closed[-1], requests=closed[-1].requests + 3)
    place, value = next(iter(broken.outputs.anomalies.items()))
    broken.outputs.anomalies[place[0], place[1], place[2] + 100_000] = value
    broken.slow.time += 1
    broken.slow.told.dead[1 << 40] = "never seen"
    with Reader(plan.broker) as reader:
        _damage_topics(plan, reader)
    never, other = list(dict.fromkeys(name for name, _ in ran.posts))[:2]
    posts = [(other, b"{}"), *(post for post in ran.posts if post[0] != never)]

    nowhere = range(1 << 40, (1 << 40) + 1_000_000)
    acknowledged = {**ran.acknowledged, 0: array("q", [*ran.acknowledged[0], *nowhere])}

    verdict = judged(plan, replace(ran, posts=posts, acknowledged=acknowledged), damaged)

    assert verdict.lost >= len(nowhere)
    assert _of(verdict, "buckets, slowly").unequal >= 1
    assert _of(verdict, "buckets, slowly").duplicates == 1
    assert _of(verdict, "aggregates").duplicates == 1
    assert verdict.twice > 0
    assert _of(verdict, "detect-state").unequal == 1
    assert _of(verdict, "open buckets and clock").unequal == 1
    assert _of(verdict, "anomalies").missing == 1
    assert _of(verdict, "anomalies").unequal == 1
    assert _of(verdict, "watermarks").unexpected == 1
    assert _of(verdict, "dead letters").missing == 1
    assert _of(verdict, "incidents").unequal == 1
    assert _of(verdict, "incidents").unexpected == 1
    assert _of(verdict, "correlate-state").unexpected == 1
    assert _of(verdict, "alert-state").unexpected == 1
    assert _of(verdict, "messages decided").duplicates == 1
    assert _of(verdict, "messages received").missing == 1
    assert _of(verdict, "messages received").unequal >= 1
    assert not verdict.is_exact


def _damage_topics(plan: Plan, reader: Reader) -> None:
    """Writes into each topic what must not be there."""
    names = plan.names
    producer = Producer({**producer_config(plan.broker), "log_level": 0})

    def write(topic: str, like: Stored, value: bytes | None, mark: bytes | None = None) -> None:
        headers: list[tuple[str, str | bytes | None]] = (
            [] if mark is None else [("sentinel-watermark", mark)]
        )
        producer.produce(topic, value, like.key, partition=like.partition, headers=headers)

    aggregate = _first(reader, names.aggregates)
    assert aggregate.value is not None
    assert Aggregate.from_bytes(aggregate.value).requests > 0
    write(names.aggregates, aggregate, aggregate.value)
    anomaly = _first(reader, names.anomalies)
    assert anomaly.value is not None
    other = replace(Anomaly.from_bytes(anomaly.value), score=99.0)
    write(names.anomalies, anomaly, other.to_bytes())
    write(names.anomalies, anomaly, None, b"0 1 9000000000000000")
    incident = _first(reader, names.incidents)
    assert incident.value is not None
    told = Incident.from_bytes(incident.value)
    write(names.incidents, incident, replace(told, title="another").to_bytes())
    write(names.incidents, incident, replace(told, ordinal=told.ordinal + 100).to_bytes())
    decided = _first(reader, names.notifications)
    write(names.notifications, decided, decided.value)
    seen = _first(reader, names.state("detect"), b"series-names/")
    write(names.state("detect"), seen, (seen.value or b"")[:-1] + b"?")
    for stage, key in (("correlate", b"else/zz"), ("alert", b"told/zz/inbox")):
        row = _first(reader, names.state(stage))
        assert row.value is not None
        write(names.state(stage), replace(row, key=key), row.value)
    assert producer.flush(120) == 0


def _first(reader: Reader, topic: str, under: bytes = b"") -> Stored:
    """The first record of a topic that has a value and such a key."""
    return next(
        record
        for partition in range(4)
        for record in list(reader.stored(topic, partition))
        if record.value is not None and (record.key or b"").startswith(under)
    )


def _of(verdict: Verdict, what: str) -> Tally:
    return next(tally for tally in verdict.tallies if tally.what == what)
