"""The product's own lanes, undisturbed: no worker, no broker, no batches but those that are asked
for, nothing that dies.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiokafka.partitioner import murmur2

from agents.correlation.settings import CorrelationSettings
from agents.detection.intake.reading import Intake
from agents.detection.lane import DetectLane
from agents.detection.policy import PolicySet, policies_of
from agents.detectors.settings import DetectionSettings
from agents.stages.correlate import CorrelateLane
from schemas.records.anomalies import Anomaly, SignalChange
from schemas.records.incidents import Incident
from schemas.secrets import Secret
from schemas.telemetry.columns import packaged_decoder
from streams.control.records import SIGNAL, WATERMARK, header
from streams.lane.outgoing import REASON, Outgoing, Step
from streams.lane.program import LaneProgram
from streams.records.blocks import Block
from streams.records.contents import Content, Part
from streams.records.cutting import Record
from streams.settings import Lanes
from streams.topic_names import TopicNames
from tests.harness.reference.reading import Stored

Place = tuple[int, int, int]
"""Lane, offset and ordinal: what a record says of where it was made."""
Mark = tuple[int, int, int]
"""Lane, offset, and watermark in µs."""

_T = TypeVar("_T")
_SEED: Final = 7


@dataclass(slots=True)
class Outputs:
    """What a lane would have written, by kind."""

    anomalies: dict[Place, bytes] = field(default_factory=dict)
    changes: dict[Place, bytes] = field(default_factory=dict)
    """What became of signals."""
    watermarks: dict[int, dict[Mark, bytes]] = field(default_factory=dict)
    """By partition, in order; the values are empty."""
    heard: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By partition, of what was said there: the offset of the record that made it, and its event
    time.
    """
    aggregates: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Key and value, in order."""
    incidents: dict[Place, bytes] = field(default_factory=dict)
    dead: dict[int, str] = field(default_factory=dict)
    """Offset to reason."""


@dataclass(slots=True)
class Program:
    """A lane's program beside no broker: records in, what it would send out."""

    lane: LaneProgram
    _next: int = 0

    @property
    def wants_ticks(self) -> bool:
        """Whether a quiet partition must be told that time passes."""
        return self.lane.wants_ticks

    def step(self, topic: str, records: Sequence[Stored]) -> list[Outgoing]:
        """What comes of the partition's next records, at least one."""
        step = self.lane.step(block_of(topic, self._next, records))
        self._next = records[-1].offset + 1
        return step.now


class Undisturbed:
    """A lane that is fed a partition's records in order, in blocks as they are given."""

    def __init__(
        self, program: LaneProgram, topic: str, names: TopicNames, partitions: int = 1
    ) -> None:
        """`partitions` of `anomalies`, for a lane that writes there."""
        self._program, self._topic, self._names, self._partitions = (
            program,
            topic,
            names,
            partitions,
        )
        self._next = 0
        self.outputs = Outputs()

    @property
    def program(self) -> Program:
        """The lane alone, before its first record."""
        return Program(self._program)

    def take(self, records: Sequence[Stored]) -> None:
        """The partition's next records, at least one."""
        step = self._program.step(block_of(self._topic, self._next, records))
        self._next = records[-1].offset + 1
        self._keep(step)

    def rows(self) -> dict[bytes, bytes]:
        """All of its state, as its topic would hold it."""
        return {key: value for key, value in self._program.changes() if value is not None}

    def _keep(self, step: Step) -> None:
        outputs = self.outputs
        for record in step.now:
            if record.topic == self._names.anomalies:
                self._keep_verdict(record)
            elif record.topic == self._names.incidents and record.value is not None:
                incident = Incident.from_bytes(record.value)
                outputs.incidents[incident.lane, incident.offset, incident.ordinal] = record.value
            elif record.topic == self._names.dead_letters:
                outputs.dead[_number(record, "sentinel-offset")] = (
                    header(record.headers, REASON) or b""
                ).decode()
        for topic, key, values in step.with_state:
            if topic == self._names.aggregates:
                outputs.aggregates += [(key, value) for value in values]

    def _keep_verdict(self, record: Outgoing) -> None:
        changed = header(record.headers, SIGNAL)
        if record.value is not None:
            self._keep_said(
                Anomaly.from_bytes(record.value), record, self.outputs.anomalies, record.value
            )
        elif changed is not None:
            self._keep_said(SignalChange.from_bytes(changed), record, self.outputs.changes, changed)
        else:
            assert record.partition is not None
            mark = mark_in(header(record.headers, WATERMARK) or b"")
            self.outputs.watermarks.setdefault(record.partition, {})[mark] = b""

    def _keep_said(
        self,
        said: Anomaly | SignalChange,
        record: Outgoing,
        kept: dict[Place, bytes],
        content: bytes,
    ) -> None:
        kept[said.lane, said.offset, said.ordinal] = content
        # By the client's own partitioner, not by what the lane reckons with.
        partition = (murmur2(record.key) & 0x7FFFFFFF) % self._partitions
        self.outputs.heard.setdefault(partition, []).append((said.offset, said.event_time))


def detect_lane(
    partition: int,
    limits: Lanes,
    names: TopicNames,
    key: Secret,
    versions: Mapping[str, DetectionSettings],
    skips: Set[int] = frozenset(),
) -> Undisturbed:
    """A lane of detect that knows these settings versions; "0" is among them. `skips` are offsets
    that it must not decode.
    """
    made: dict[str, PolicySet] = {}

    def policies(version: str) -> PolicySet:
        if version not in made:
            made[version] = policies_of(version, versions[version])
        return made[version]

    decoder = packaged_decoder(limits.max_record_bytes)
    intake = Intake(names, limits, decoder, key, lambda topic, lane: set(skips))
    lane = DetectLane(partition, limits, names, intake, policies, _SEED)
    return Undisturbed(lane, names.telemetry, names, limits.partitions)


def correlate_lane(partition: int, settings: CorrelationSettings, names: TopicNames) -> Undisturbed:
    """A lane of correlate."""
    return Undisturbed(CorrelateLane(partition, settings, names), names.anomalies, names)


def block_of(topic: str, start: int, records: Sequence[Stored]) -> Block:
    """A block of records, as one fetch from `start` could have brought them."""
    read = [Record(one.offset, one.timestamp, one.key, one.value, one.headers) for one in records]
    part = Part(
        count=len(records),
        offsets=[record.offset for record in records],
        stamped_ms=None,
        times_ms=[record.timestamp for record in records],
        source=read,
    )
    headed = {index: record for index, record in enumerate(read) if record.headers}
    place = (topic, records[0].partition)
    return Block(
        place,
        start,
        records[-1].offset + 1,
        Content([record.value for record in records], headed, {}, [part]),
    )


def cut(records: Iterator[_T], sizes: Iterator[int]) -> Iterator[list[_T]]:
    """The records in neighbouring groups of these sizes.

    >>> list(cut(iter("abcde"), iter([1, 3, 2])))
    [['a'], ['b', 'c', 'd'], ['e']]
    """
    group: list[_T] = []
    size = next(sizes)
    for record in records:
        group.append(record)
        if len(group) >= size:
            yield group
            group, size = [], next(sizes, 1)
    if group:
        yield group


def mark_in(content: bytes) -> Mark:
    """A watermark's header."""
    lane, offset, watermark = map(int, content.split())
    return lane, offset, watermark


def _number(record: Outgoing, name: str) -> int:
    return int(header(record.headers, name) or b"-1")
