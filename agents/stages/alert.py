"""The stage `alert`: incidents in, messages out, every decision on `notifications` before the
message is on its way.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from aiokafka.partitioner import murmur2

from agents.alerting.alerter import Alerter
from agents.alerting.auditing import Asked
from agents.alerting.decisions import Decision, DeliveryEnded
from agents.alerting.messages import Delivery
from agents.alerting.paging import PageCount
from agents.alerting.settings import AlertSettings
from schemas.errors import BadRecord
from schemas.records.control import Command, CommandKind
from schemas.records.incidents import Incident
from schemas.records.plausible import plausible
from streams.control.command_log import Arrived
from streams.lane.effects import Effect
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import Step, dead_letter
from streams.lane.program import LaneProgram, Stage
from streams.records.blocks import Block
from streams.topic_names import TopicNames

_log = structlog.get_logger("sentinel.alert")

Now = Callable[[], int]
"""The wall clock, µs."""

DELIVERY: Final = "delivery"
"""Kind of the effects of alert: a message to one receiver."""


class Commands(Protocol):
    """What people ask for, as far as this worker has read it."""

    def ends(self) -> Mapping[int, int]:
        """By partition, the offset after the last record that is known."""

    def since(self, partition: int, offset: int) -> Iterator[Arrived]:
        """The records of a partition from this offset on, in order."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all lanes of alert in one worker share."""

    names: TopicNames
    settings: AlertSettings
    partitions: int
    """Of `incidents`: an incident's key says which lane has it."""
    now: Now
    commands: Commands
    pages: PageCount = field(default_factory=PageCount)


class AlertLane:
    """One partition of incidents (streams.lane.program: `LaneProgram`). It lives in wall-clock
    time: `now` is asked once per step.

    Commands that the worker has read are obeyed before each block and at each wake, once for each
    lane: which ones were is in the lane's state.
    """

    def __init__(self, partition: int, shared: Surroundings) -> None:
        self.partition = partition
        self._shared, self._names, self._now = shared, shared.names, shared.now
        self._alerter = Alerter(shared.settings, partition, shared.pages)
        self.wants_ticks = False
        self.last_append: int | None = None

    def settings_named(self, block: Block) -> set[str]:
        """None: detection's settings do not concern it."""
        return set()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Takes the rows of `changes`. Raises NewerState."""
        self._alerter.restore(rows)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows changed since the last call."""
        return iter(self._alerter.changed())

    def pending(self) -> list[Effect]:
        """Deliveries begun before the lane came here, to be begun again under the same ids."""
        return [_effect(delivery) for delivery in self._alerter.pending()]

    def is_pending(self, effect_id: str) -> bool:
        """Whether this delivery was begun and has no outcome yet."""
        return self._alerter.is_pending(effect_id)

    def next_wake(self) -> int | None:
        """When `wake` is to be called, µs; None while nothing waits for time."""
        return self._alerter.next_wake()

    def is_due(self) -> bool:
        """Whether time has come for something, or a command."""
        due = self._alerter.next_wake()
        ends = self._shared.commands.ends()
        return (due is not None and due <= self._now()) or any(
            end != self._alerter.commands_from(partition) for partition, end in ends.items()
        )

    def step(self, block: Block) -> Step:
        """Every incident in offset order; a bad record becomes a dead letter."""
        step, now = Step(), self._now()
        self._obey(step, now)
        taken_back = self._alerter.taken_back
        for record in block.records():
            try:
                if record.fault is not None:
                    raise record.fault
                incident = plausible(Incident, record.value or b"")
            except BadRecord as error:
                self._bury(step, record, block.topic, block.partition, error)
                continue
            step.events += 1
            self._decided(self._alerter.on_incident(incident, offset=record.offset, now=now), step)
        step.facts[Fact(FactKind.SOURCE_LANE_TAKEN_BACK)] += self._alerter.taken_back - taken_back
        return step

    def wake(self) -> Step:
        """Obeys new commands, and sends what waited for time."""
        step, now = Step(), self._now()
        self._obey(step, now)
        self._decided(self._alerter.on_wake(now), step)
        return step

    def ended(self, effect: Effect, outcome: object, attempt: int) -> Step:
        """Notes the outcome of a delivery."""
        if not isinstance(outcome, DeliveryEnded):
            raise TypeError(f"{outcome!r} is not the outcome of a delivery")
        step = Step()
        decisions = self._alerter.on_outcome(
            effect.id, outcome.outcome, status=outcome.status, attempt=attempt, now=self._now()
        )
        self._decided(decisions, step)
        return step

    def _obey(self, step: Step, now: int) -> None:
        for partition, end in self._shared.commands.ends().items():
            if end < self._alerter.commands_from(partition):
                # Offsets only grow, and all that there was at the start has been read.
                _log.error("commands.made_anew", lane=self.partition, partition=partition, end=end)
                self._alerter.commands_made_anew(partition)
            for record in self._shared.commands.since(
                partition, self._alerter.commands_from(partition)
            ):
                if record.command is not None:
                    asked = Asked(
                        record.command,
                        partition,
                        record.offset,
                        self._answers(record.command, partition),
                    )
                    self._decided(self._alerter.on_command(asked, now), step)
                elif self._alerter.passed(partition, record.offset) and partition == self.partition:
                    assert record.fault is not None
                    self._bury(step, record, self._names.commands, partition, record.fault)

    def _answers(self, command: Command, partition: int) -> bool:
        """Each command is answered by one lane: an acknowledgement by the one that has the
        incident.
        """
        if command.kind is not CommandKind.ACKNOWLEDGE:
            return partition == self.partition
        key = f"{command.tenant}/{command.target}".encode()
        return int(murmur2(key) & 0x7FFFFFFF) % self._shared.partitions == self.partition

    def _bury(self, step: Step, record: Any, topic: str, partition: int, error: BadRecord) -> None:
        step.bad += 1
        step.facts[Fact(FactKind.BAD_RECORD, error.reason)] += 1
        step.now.append(
            dead_letter(
                self._names.dead_letters,
                record.key,
                record.value,
                topic,
                partition,
                record.offset,
                error.reason,
                error.field,
                error.schema_id,
                record.marks,
            )
        )

    def _decided(self, decisions: list[Decision], step: Step) -> None:
        for decision in decisions:
            step.facts[Fact(FactKind.ALERT_DECISION, decision.reason)] += 1
            note = decision.notification
            if note is not None:
                key = f"{note.tenant}/{note.incident_id}".encode()
                step.with_state.append((self._names.notifications, key, [note.to_bytes()]))
            if (audit := decision.audit) is not None:
                # Who asked is waiting for the answer.
                step.with_state.append(
                    (self._names.audit, audit.tenant.encode(), [audit.to_bytes()])
                )
                step.flush = True
            if decision.delivery is not None:
                step.effects.append(_effect(decision.delivery))


def _effect(delivery: Delivery) -> Effect:
    return Effect(delivery.notification_id, DELIVERY, delivery, delivery.decided_at)


def alert_stage(shared: Surroundings) -> Stage:
    """Makes the stage."""
    names = shared.names

    def new_lane(partition: int) -> LaneProgram:
        return AlertLane(partition, shared)

    return Stage("alert", names.incidents, names.state("alert"), f"{names.prefix}alert", new_lane)
