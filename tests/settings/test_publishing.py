"""The number of a publication is above those of all before it, whatever clocks say."""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

import pytest
from confluent_kafka import KafkaError, Producer

from agents.detectors.settings import Comparison, DetectionSettings, Rule
from agents.detectors.settings_codec import version_of
from schemas.secrets import Secret
from streams.control.records import Publication, publication
from streams.control.settings_log import skip_record
from streams.lane.outgoing import Outgoing
from streams.topic_names import TopicNames
from topology.control.publishing import _written, next_number, records
from topology.control.reading import Read

KEY = Secret("the key of these tests")
NAMES = TopicNames("t.")
NOON = 1_790_000_000_000_000
RULES = DetectionSettings(rules=(Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000),))


def read(sent: Iterable[Outgoing]) -> Iterator[Read]:
    """What of these stands on `settings`."""
    for offset, one in enumerate(sent):
        if one.topic == NAMES.settings:
            yield Read(one.topic, 0, offset, one.key, one.value, one.headers)


def published(settings: DetectionSettings, number: int, key: Secret = KEY) -> list[Outgoing]:
    """All records of a publication for two lanes."""
    return list(records(NAMES, 2, settings, key, "ann", number))


def test_every_lane_gets_the_number() -> None:
    """With the version's record before them, which has it too."""
    version, *lanes = published(RULES, NOON)
    assert version.topic == NAMES.settings
    assert [publication(NAMES.telemetry, lane, KEY, one) for lane, one in enumerate(lanes)] == [
        Publication(NOON, version_of(RULES))
    ] * 2


def test_the_time_is_the_number() -> None:
    """As long as it rises."""
    known = list(read(published(RULES, NOON)))
    assert next_number([], KEY, NOON) == NOON
    assert next_number(known, KEY, NOON + 5) == NOON + 5


def test_a_clock_that_is_behind_gives_a_number_above_all_the_same() -> None:
    """Also where the last that was published is what Sentinel brings along, which needs no record
    to be known.
    """
    for settings in (RULES, DetectionSettings()):
        known = list(read([*published(settings, NOON), *published(RULES, NOON - 9)]))
        assert next_number(known, KEY, NOON - 3_600_000_000) == NOON + 1


def test_records_that_are_not_signed_raise_no_number() -> None:
    """Whoever may write to the topic could use all numbers up; skips have none, and a deleted
    version has no record.
    """
    forged = published(RULES, 2**63 - 1, Secret("another key"))
    skip = skip_record(NAMES.settings, NAMES.telemetry, 0, 4711, "kills the decoder", KEY)
    gone = Outgoing(NAMES.settings, b"*/x", None)
    assert next_number(read([*forged, skip, gone]), KEY, NOON) == NOON


class Broken:
    """A producer for a broker that refuses one topic, or does not answer for it."""

    def __init__(self, topic: str, *, answers: bool) -> None:
        self.topic, self.answers, self.taken, self.waiting = topic, answers, list[str](), 0

    def produce(
        self, topic: str, on_delivery: Callable[[KafkaError | None, None], None], **_: object
    ) -> None:
        if topic != self.topic:
            self.taken.append(topic)
        elif self.answers:
            on_delivery(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None)
        else:
            self.waiting += 1

    def flush(self, timeout: float) -> int:
        return self.waiting


@pytest.mark.parametrize("answers", [True, False])
def test_no_lane_is_told_of_a_version_that_is_not_durable(answers: bool) -> None:
    """It would wait for it for ever."""
    broken = Broken(NAMES.settings, answers=answers)
    assert _written(cast("Producer", broken), published(RULES, NOON))
    assert broken.taken == []


def test_a_lane_that_could_not_be_written_to_is_told() -> None:
    """Who publishes tries again; the lanes that have it already take the later number."""
    broken = Broken(NAMES.telemetry, answers=True)
    assert len(_written(cast("Producer", broken), published(RULES, NOON))) == 2
    assert broken.taken == [NAMES.settings]
