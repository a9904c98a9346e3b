"""Producers of other people, in a quick form that needs nothing installed (`python -m
benchmarks.foreign` is the long one).
"""

import uuid
from copy import deepcopy
from dataclasses import dataclass, replace

import pytest

from benchmarks.foreign import Result, by_ledger, measure, plan_of
from benchmarks.foreign_run.traffic import EVERYONE, Ledger, line
from schemas.records.telemetry import Label, Operation, Status, TelemetryEvent
from tests.harness.exactness.plan import Plan

pytestmark = pytest.mark.system


@dataclass
class Done:
    """A run that is over."""

    plan: Plan
    ledger: Ledger
    result: Result
    said: list[str]


@pytest.fixture(scope="module")
def done(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """librdkafka at its defaults, and each stage killed once, the sink too."""
    said: list[str] = []
    store = tmp_path_factory.mktemp("store") / "sentinel.db"
    prefix = f"foreign{uuid.uuid4().hex[:8]}."
    plan = replace(
        plan_of(kafka, store, events=20_000, kills=4, seed=5, prefix=prefix), freezes=False
    )
    ledger = Ledger()
    return Done(plan, ledger, measure(plan, ("librdkafka",), ledger, said.append), said)


def test_topic_store_and_api_have_what_was_sent(done: Done) -> None:
    """Every bucket of every series, though nearly every application comes to several lanes, each of
    which is told of.
    """
    result = done.result
    assert result.is_exact, "\n".join(
        [str(result.numbers), *map(str, result.verdict.differing), *done.said]
    )
    assert done.ledger.events == 20_000
    assert result.verdict.ran.kills == {"detect": 1, "correlate": 1, "alert": 1, "sink": 1}
    compared = {tally.what: tally.compared for tally in result.by_ledger}
    assert compared["buckets, by the ledger"] == len(done.ledger.buckets) > 1000
    assert compared["applications on other lanes, told"] >= 5


def test_what_differs_from_the_ledger_is_seen_everywhere(done: Done) -> None:
    """One event, one failure, one token too many in a bucket each, and a bucket that nobody
    counted.
    """
    damaged = deepcopy(done.ledger)
    first, second, third, *_ = sorted(damaged.buckets)
    for place, number in ((first, 0), (second, 1), (third, 2)):
        damaged.buckets[place][number] += 1
    damaged.buckets["nobody", "app-00000", "model-0", first[3]] = [1, 0, 5, 7]
    topic, _, store, api = by_ledger(done.plan, damaged)
    for tally in (topic, store, api):
        assert (tally.unequal, tally.missing, tally.unexpected) == (3, 1, 0), tally


def test_a_client_is_given_the_key_of_every_other_application_and_what_is_known() -> None:
    """What the event does not say is left to the client's own Avro library."""
    event = TelemetryEvent(
        event_id="e",
        event_time=1,
        tenant="t",
        application="app-00001",
        model="m",
        operation=Operation.CHAT,
        status=Status.SUCCESS,
        latency_us=5,
        labels=(Label("a", "ä"),),
    )
    told = line(event).decode()
    assert told.startswith('{"key":null,"event":{"event_id":"e","event_time":1,"tenant":"t"')
    assert told.endswith('"labels":[{"key":"a","value":"ä"}]}}\n')
    assert "user" not in told
    assert line(replace(event, tenant=EVERYONE)).startswith(b'{"key":"everyone/app-00001"')
