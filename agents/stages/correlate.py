"""The stage `correlate`: anomalies and watermarks in, incidents out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agents.alerting.auditing import Asked, audit
from agents.correlation.correlator import Correlator
from agents.correlation.settings import CorrelationSettings
from schemas.bounds import LATEST
from schemas.errors import BadRecord, Reason
from schemas.records.anomalies import Anomaly, SignalChange
from schemas.records.control import Command, CommandKind
from schemas.records.incidents import Incident
from schemas.records.plausible import MAX_LANE, plausible
from schemas.secrets import Secret
from streams.control.command_log import lane_command
from streams.control.records import SIGNAL, TICK, WATERMARK, header, passed
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import Outgoing, Step, dead_letter
from streams.lane.program import LaneProgram, Stage
from streams.records.blocks import Block
from streams.samples import Sample
from streams.topic_names import TopicNames

NO_KEY: Final = Secret("")
_OTHERS = "(others)"
_NO_WATERMARK = "watermark is not three whole numbers"
_MAX_DIGITS = 18
"""Of a number within 63 bits."""


class CorrelateLane:
    """One partition of anomalies (streams.lane.program: `LaneProgram`)."""

    def __init__(
        self,
        partition: int,
        settings: CorrelationSettings,
        names: TopicNames,
        control_key: Secret = NO_KEY,
    ) -> None:
        self._names, self._key = names, control_key
        self._correlator = Correlator(settings, partition)

    @property
    def wants_ticks(self) -> bool:
        """While an incident is open."""
        return self._correlator.wants_ticks

    @property
    def last_append(self) -> int | None:
        """Append time of the last record, µs."""
        return self._correlator.last_append

    def settings_named(self, block: Block) -> set[str]:
        """None: detection's settings do not concern it."""
        return set()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restores the rows of `changes`. Raises NewerState."""
        self._correlator.restore(rows)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows changed since the last call."""
        return iter(self._correlator.changed())

    def step(self, block: Block) -> Step:
        """Every record in offset order; a bad one becomes a dead letter."""
        step, sources = Step(), self._correlator.sources
        came_before, taken_back = sources.came_before, sources.taken_back
        for record in block.records():
            try:
                incidents = self._take(record, block, step)
            except BadRecord as error:
                step.bad += 1
                step.facts[Fact(FactKind.BAD_RECORD, error.reason)] += 1
                step.now.append(_dead(self._names.dead_letters, block, record, error))
                continue
            step.events += 1
            step.now += [
                Outgoing(
                    self._names.incidents, f"{made.tenant}/{made.id}".encode(), made.to_bytes()
                )
                for made in incidents
            ]
        step.facts[Fact(FactKind.REPEATED_ANOMALY)] += sources.came_before - came_before
        step.facts[Fact(FactKind.SOURCE_LANE_TAKEN_BACK)] += sources.taken_back - taken_back
        return step

    def samples(self, most: int) -> Iterator[Sample]:
        """How many incidents are open; of more than `most` groups the largest, and the others
        together (streams.samples: `Observed`).
        """
        groups = self._correlator.open_groups().most_common()
        for group, count in groups[:most]:
            yield Sample("sentinel_open_incidents", group, count)
        others = Counter[str]()
        for (_, _, severity), count in groups[most:]:
            others[severity] += count
        for severity, count in others.items():
            yield Sample("sentinel_open_incidents", (_OTHERS, _OTHERS, severity), count)

    def _take(self, record: Any, block: Block, step: Step) -> list[Incident]:
        if record.fault is not None:
            raise record.fault
        append_time = record.timestamp * 1000
        if record.value is not None:
            return self._correlator.on_anomaly(
                plausible(Anomaly, record.value), offset=record.offset, append_time=append_time
            )
        changed = header(record.headers, SIGNAL)
        if changed is not None:
            change = plausible(SignalChange, changed)
            return self._correlator.on_change(change, offset=record.offset, append_time=append_time)
        mark = header(record.headers, WATERMARK)
        if mark is not None:
            lane, offset, time = _numbers(mark)
            return self._correlator.on_watermark(
                lane, offset, time, offset=record.offset, append_time=append_time
            )
        command = lane_command(block.topic, self._key, record)
        if command is not None:
            return self._obey(command, record, block, step)
        if header(record.headers, TICK) is None:
            raise BadRecord("no value")
        return self._correlator.on_tick(
            offset=record.offset, append_time=append_time, passed=passed(record.headers)
        )

    def _obey(self, command: Command, record: Any, block: Block, step: Step) -> list[Incident]:
        """Carries out what a person asks for, and tells what came of it, as of the time at which
        the broker took it.
        """
        if command.kind is not CommandKind.CLOSE:
            raise BadRecord(f"command {command.kind} in a lane")
        now = record.timestamp * 1000
        incidents, outcome, detail = self._correlator.on_close(
            command, offset=record.offset, append_time=now
        )
        asked = Asked(command, block.partition, record.offset, is_answered_here=True)
        answer = audit(asked, outcome, detail, now)
        step.now.append(Outgoing(self._names.audit, answer.tenant.encode(), answer.to_bytes()))
        return incidents


def correlate_stage(
    names: TopicNames, settings: CorrelationSettings, control_key: Secret = NO_KEY
) -> Stage:
    """Makes the stage. Commands count that `control_key` signed; without one, none does."""

    def new_lane(partition: int) -> LaneProgram:
        return CorrelateLane(partition, settings, names, control_key)

    return Stage(
        "correlate", names.anomalies, names.state("correlate"), f"{names.prefix}correlate", new_lane
    )


def _numbers(mark: bytes) -> tuple[int, int, int]:
    parts = mark.split()
    if len(parts) != 3 or not all(part.isdigit() and len(part) <= _MAX_DIGITS for part in parts):
        raise BadRecord(_NO_WATERMARK, WATERMARK)
    lane, offset, time = map(int, parts)
    if lane > MAX_LANE or time > LATEST:
        raise BadRecord(Reason.OUT_OF_RANGE, WATERMARK)
    return lane, offset, time


def _dead(topic: str, block: Block, record: Any, error: BadRecord) -> Outgoing:
    return dead_letter(
        topic,
        record.key,
        record.value,
        block.topic,
        block.partition,
        record.offset,
        error.reason,
        error.field,
        error.schema_id,
        record.marks,
    )
