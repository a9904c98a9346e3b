"""Both references of one lane of detect, over its partition as re-read: a process of its own, since
each record costs a while.
"""

import random
from array import array
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from agents.detectors.settings import DetectionSettings
from schemas.secrets import Secret
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.reference.reading import Reader, Stored
from tests.harness.reference.slow_lane import SlowLane, Times
from tests.harness.reference.undisturbed import Outputs, cut, detect_lane

_SIZES: Final = (1, 1, 1, 2, 3, 5, 20, 100, 500)
"""Sizes of the undisturbed lane's blocks: cut otherwise than any worker's."""


@dataclass(frozen=True, slots=True)
class Task:
    """One lane: its records below `until`."""

    broker: Broker
    lanes: Lanes
    key: str
    versions: Mapping[str, DetectionSettings]
    partition: int
    until: int
    seed: int
    skips: frozenset[int] = frozenset()
    """Offsets that no decoder may see."""
    prepare: Callable[[], None] | None = None
    """Called first, in the process that computes it: a schema that only this run knows, say."""
    one_by_one: bool = False
    """Whether the undisturbed lane is fed single records too; that takes milliseconds for each."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the lane should have said, and the state that it should be in."""

    slow: SlowLane
    outputs: Outputs
    rows: dict[bytes, bytes]
    offsets: "array[int]"
    """Of all records below where the lane stands, ticks among them."""

    @property
    def records(self) -> int:
        """How many those are."""
        return len(self.offsets)


def reference_of(task: Task) -> Reference:
    """Feeds both. Raises KafkaException."""
    if task.prepare is not None:
        task.prepare()
    names = TopicNames(task.broker.topic_prefix)
    lane = detect_lane(
        task.partition, task.lanes, names, Secret(task.key), task.versions, task.skips
    )
    slow = slow_lane(task.partition, task.lanes, names, task.key, task.versions, task.skips)
    offsets = array("q")

    def counted(reader: Reader) -> Iterator[Stored]:
        for record in reader.stored(names.telemetry, task.partition, task.until):
            offsets.append(record.offset)
            slow.take(record)
            yield record

    with Reader(task.broker) as reader:
        for group in cut(counted(reader), _sizes(task)):
            lane.take(group)
    return Reference(slow, lane.outputs, lane.rows(), offsets)


def slow_lane(
    partition: int,
    lanes: Lanes,
    names: TopicNames,
    key: str,
    versions: Mapping[str, DetectionSettings],
    skips: Set[int] = frozenset(),
) -> SlowLane:
    """The slow lane for the same settings."""
    times = Times(
        lanes.bucket_s * 1_000_000, int(lanes.lateness_s * 1e6), int(lanes.max_ahead_s * 1e6)
    )
    rules = {version: settings.rules for version, settings in versions.items()}
    return SlowLane(names.telemetry, partition, times, key, rules, skips)


def _sizes(task: Task) -> Iterator[int]:
    rng = random.Random(task.seed * 1000 + task.partition)
    while True:
        yield 1 if task.one_by_one else rng.choice(_SIZES)
