"""What a lane says of the applications it watches, for people's own boards."""

from dataclasses import replace

from prometheus_client import generate_latest

from agents.correlation.settings import CorrelationSettings
from agents.stages.correlate import CorrelateLane
from schemas.records.anomalies import Severity
from schemas.records.telemetry import Status
from streams import metrics
from streams.samples import Observed, Sample
from streams.topic_names import TopicNames
from tests.correlation.timeline import anomaly, micros
from tests.detection.lanes import LIMITS, RunLane
from tests.harness.telemetry_log import START_MS, good

START_S = START_MS / 1000


def of(samples: object, gauge: str) -> dict[tuple[str, ...], float]:
    """The values of one gauge by their labels."""
    assert isinstance(samples, list)
    return {
        each.labels: each.value
        for each in samples
        if isinstance(each, Sample) and each.gauge == gauge
    }


def said(lane: RunLane, most: int = 100) -> list[Sample]:
    """What the lane says now."""
    assert isinstance(lane.lane, Observed)
    return list(lane.lane.samples(most))


def test_levels_are_those_of_the_last_closed_bucket() -> None:
    """Rates, share of errors and latency by application and model; of a bucket without events,
    nothing.
    """
    lane = RunLane()
    events = [
        good(number, number / 10, status=Status.ERROR if number % 4 == 0 else Status.SUCCESS)
        for number in range(40)
    ]
    lane.takes([*events, good(40, 16.0)])
    name = ("acme", "shop", "gpt-4o-mini")
    assert of(said(lane), "sentinel_service_request_rate") == {name: 4.0}
    assert of(said(lane), "sentinel_service_error_ratio") == {name: 0.25}
    latency = of(said(lane), "sentinel_service_latency_seconds")
    assert set(latency) == {(*name, "0.5"), (*name, "0.95"), (*name, "0.99")}
    assert abs(latency[*name, "0.5"] - 1.2) < 0.1
    lane.takes([good(41, 76.0)])
    assert of(said(lane), "sentinel_service_request_rate") == {}


def test_only_the_busiest_series_and_the_applications_seen_last_are_told_of() -> None:
    """As many as the setting says, so that no producer fills a Prometheus."""
    lane = RunLane(limits=replace(LIMITS, measured_series=2))
    lane.takes(
        [
            good(number, number % 9, application=f"a{number % (1 + number // 10)}")
            for number in range(60)
        ]
    )
    lane.takes([good(60, 31.0, application="late")])
    lane.takes([good(61, 99.0)])
    # What was closed last is the bucket of one event.
    assert list(of(said(lane, 2), "sentinel_service_request_rate")) == []
    seen = of(said(lane, 2), "sentinel_last_event_timestamp_seconds")
    assert seen["acme", "late"] == START_S + 40
    assert len(seen) == 2
    assert len(of(said(lane, 100), "sentinel_last_event_timestamp_seconds")) > 2


def test_the_last_event_is_known_after_a_restart() -> None:
    """An application that fell silent stays visible: the lane's state has when it was seen."""
    lane = RunLane()
    lane.takes([good(0, 1.0), good(1, 3.0, application="other"), good(2, 26.0)])
    before = of(said(lane), "sentinel_last_event_timestamp_seconds")
    assert before == {("acme", "shop"): START_S + 10, ("acme", "other"): START_S + 10}
    lane.stops_and_goes_on()
    assert of(said(lane), "sentinel_last_event_timestamp_seconds") == before


def test_open_incidents_are_counted_by_whose_they_are() -> None:
    """The largest groups singly, the others together: the sum is right whatever the bound."""
    lane = CorrelateLane(0, CorrelationSettings(), TopicNames("t."))
    for number in range(12):
        found = anomaly(
            0, application=f"a{number % 6}", source=(0, number, 0), severity=Severity.HIGH
        )
        lane._correlator.on_anomaly(found, offset=number, append_time=micros(1))
    assert isinstance(lane, Observed)
    samples = list(lane.samples(100))
    assert {each.labels[:2] for each in samples} == {("acme", f"a{number}") for number in range(6)}
    few = list(lane.samples(2))
    assert sum(each.value for each in few) == sum(each.value for each in samples) == 6
    assert few[-1].labels[:2] == ("(others)", "(others)")


def test_what_a_lane_said_goes_with_it() -> None:
    """A worker that lost the lane says nothing of it any more."""
    sample = Sample("sentinel_open_incidents", ("acme", "shop", "high"), 2.0)
    metrics.show_samples({3: [sample], 4: [sample]})
    line = (
        b'sentinel_open_incidents{application="shop",lane="%d",severity="high",tenant="acme"} 2.0'
    )
    assert all(line % lane in generate_latest(metrics.REGISTRY) for lane in (3, 4))
    metrics.show_samples({4: [sample]})
    assert line % 3 not in generate_latest(metrics.REGISTRY)
    metrics.show_samples({})
