"""A detect lane beside an in-memory broker: what it sends, what it keeps, stopped and gone on with
at will.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agents.detection.intake.reading import Intake
from agents.detection.lane import DetectLane
from agents.detection.policy import policies_of
from agents.detectors.settings import DetectionSettings
from schemas.records.anomalies import Anomaly
from schemas.secrets import Secret
from schemas.telemetry.columns import packaged_decoder
from streams.lane.facts import Fact
from streams.lane.outgoing import REASON, Outgoing
from streams.records.blocks import Block
from streams.settings import Lanes
from streams.topic_names import TopicNames
from tests.harness.compacted_topic import CompactedTopic
from tests.harness.telemetry_log import LANE, TOPIC, Rec, block

KEY = Secret("the key of these tests")
NAMES = TopicNames("t.")
LIMITS = Lanes(partitions=2)
NONE: frozenset[int] = frozenset()

assert NAMES.telemetry == TOPIC


@dataclass
class RunLane:
    """One lane and all that came of it. `versions` are the settings that its control records may
    name.
    """

    versions: Mapping[str, DetectionSettings] = field(
        default_factory=lambda: {"0": DetectionSettings()}
    )
    limits: Lanes = LIMITS
    skips: Collection[int] = NONE
    sent: dict[str, list[Outgoing]] = field(default_factory=lambda: defaultdict(list))
    """What was produced, by topic, in order."""
    aggregates: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Key and value, in order."""
    state: CompactedTopic = field(default_factory=CompactedTopic)
    events: int = 0
    late: int = 0
    bad: int = 0
    facts: Counter[Fact] = field(default_factory=Counter)
    restarts: int = 0

    def __post_init__(self) -> None:
        self._policies = {
            name: policies_of(name, settings) for name, settings in self.versions.items()
        }
        self.lane = self._new()

    def takes(self, records: Sequence[Rec] | Block) -> None:
        """A step."""
        step = self.lane.step(records if isinstance(records, Block) else block(records))
        for outgoing in step.now:
            self.sent[outgoing.topic].append(outgoing)
        self.aggregates += [(key, value) for _, key, values in step.with_state for value in values]
        self.events += step.events
        self.late += step.late
        self.bad += step.bad
        self.facts += step.facts

    def flushes(self) -> None:
        """Rows go to the state topic."""
        self.state.take(self.lane.changes())

    def stops_and_goes_on(self) -> None:
        """Flushed, and another process takes over."""
        self.flushes()
        self.restarts += 1
        self.lane = self._new()
        self.lane.restore(self.state.rows)

    @property
    def dead(self) -> list[tuple[int, str]]:
        """Offset and reason of every dead letter, in order."""
        found = []
        for letter in self.sent[NAMES.dead_letters]:
            headers = dict(letter.headers)
            found.append((int(headers["sentinel-offset"]), headers[REASON].decode()))
        return found

    @property
    def anomalies(self) -> list[Anomaly]:
        """What was told, in order."""
        return [
            Anomaly.from_bytes(sent.value)
            for sent in self.sent[NAMES.anomalies]
            if sent.value is not None
        ]

    def _new(self) -> DetectLane:
        intake = Intake(
            NAMES,
            self.limits,
            packaged_decoder(self.limits.max_record_bytes),
            KEY,
            lambda topic, lane: set(self.skips) if (topic, lane) == (TOPIC, LANE) else set(),
        )
        return DetectLane(
            LANE, self.limits, NAMES, intake, self._policies.__getitem__, seed=self.restarts
        )


def run(
    records: Sequence[Rec],
    versions: Mapping[str, DetectionSettings],
    cuts: Iterable[int] = (),
    restarts: Collection[int] = NONE,
    limits: Lanes = LIMITS,
) -> RunLane:
    """The lane after these records, in blocks that begin at the indices `cuts`; at `restarts` it is
    stopped and gone on with. Flushed at the end.
    """
    running = RunLane(versions, limits)
    edges = sorted({0, len(records), *(cut for cut in cuts if 0 < cut < len(records))})
    for start, end in pairwise(edges):
        if start in restarts:
            running.stops_and_goes_on()
        running.takes(records[start:end])
    running.flushes()
    return running
