"""The stage `alert`: turns incidents into messages, each decision durable on `notifications` before
its message is sent.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

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
from streams.records.cutting import Record
from streams.topic_names import TopicNames

_log = structlog.get_logger("sentinel.alert")

Now = Callable[[], int]
"""The wall clock, µs."""

DELIVERY: Final = "delivery"
"""Kind of the effects of alert: a message to one receiver."""


class Commands(Protocol):
    """The topic `commands`, as far as this worker has read it."""

    def ends(self) -> Mapping[int, int]:
        """By partition, the offset after the last record that is known."""

    def since(self, partition: int, offset: int) -> Iterator[Arrived]:
        """The records of a partition from this offset on, in order."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Dependencies that all lanes of alert in one worker share."""

    names: TopicNames
    settings: AlertSettings
    partitions: int
    """Partitions of `incidents`: an incident's key decides which lane has it."""
    now: Now
    commands: Commands
    pages: PageCount = field(default_factory=PageCount)


class AlertLane:
    """One partition of incidents (streams.lane.outbox: `EffectProgram`). It lives in wall-clock
    time: the clock is read once per step.

    Before each block and at each wake the lane obeys the commands that the worker has read, each
    once: the lane's state has their offsets.
    """

    def __init__(self, partition: int, shared: Surroundings) -> None:
        self.partition = partition
        self._shared, self._names, self._now = shared, shared.names, shared.now
        self._alerter = Alerter(shared.settings, partition, shared.pages)
        self.wants_ticks = False
        self.last_append: int | None = None

    def settings_named(self, block: Block) -> set[str]:
        """None: alert does not use detection's settings."""
        return set()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Restores the rows of `changes`. Raises NewerState."""
        self._alerter.restore(rows)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows changed since the last call."""
        return iter(self._alerter.changed())

    def pending(self) -> list[Effect]:
        """Deliveries without an outcome, to be run again under the same ids after a restore."""
        return [_effect(delivery) for delivery in self._alerter.pending()]

    def is_pending(self, effect_id: str) -> bool:
        """Whether this delivery was begun and has no outcome yet."""
        return self._alerter.is_pending(effect_id)

    def next_wake(self) -> int | None:
        """When `wake` is to be called, µs; None while nothing waits for time."""
        return self._alerter.next_wake()

    def is_due(self) -> bool:
        """Whether something is due, or a command is new."""
        due = self._alerter.next_wake()
        ends = self._shared.commands.ends()
        return (due is not None and due <= self._now()) or any(
            end != self._alerter.commands.next(partition) for partition, end in ends.items()
        )

    def step(self, block: Block) -> Step:
        """Processes every incident in offset order; a bad record becomes a dead letter."""
        step, now = Step(), self._now()
        self._obey(step, now)
        taken_back = self._alerter.taken_back
        for record in block.records():
            try:
                if record.fault is not None:
                    raise record.fault
                incident = plausible(Incident, record.value or b"")
            except BadRecord as error:
                self._refuse(step, record, block.topic, block.partition, error)
                continue
            step.events += 1
            self._decided(self._alerter.on_incident(incident, offset=record.offset, now=now), step)
        step.facts[Fact(FactKind.SOURCE_LANE_TAKEN_BACK)] += self._alerter.taken_back - taken_back
        return step

    def wake(self) -> Step:
        """Obeys new commands, and decides what is due."""
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
            if end < self._alerter.commands.next(partition):
                # Offsets of a topic only grow, and this worker read all of it at its start: the
                # topic was deleted and created again.
                _log.error("commands.made_anew", lane=self.partition, partition=partition, end=end)
                self._alerter.commands.restart(partition)
            first = self._alerter.commands.next(partition)
            for record in self._shared.commands.since(partition, first):
                if record.command is not None:
                    asked = Asked(
                        record.command,
                        partition,
                        record.offset,
                        self._answers(record.command, partition),
                    )
                    self._decided(self._alerter.on_command(asked, now), step)
                    continue
                is_new = self._alerter.commands.passed(partition, record.offset)
                # Every lane reads every bad command; one of them writes the dead letter.
                if is_new and partition == self.partition and record.fault is not None:
                    self._refuse(step, record, self._names.commands, partition, record.fault)

    def _answers(self, command: Command, partition: int) -> bool:
        """Whether this lane writes the audit record: an acknowledgement's is for the lane that has
        the incident.
        """
        if command.kind is not CommandKind.ACKNOWLEDGE:
            return partition == self.partition
        # As correlate's producer partitions the incident's record, by Kafka's default.
        key = f"{command.tenant}/{command.target}".encode()
        return int(murmur2(key) & 0x7FFFFFFF) % self._shared.partitions == self.partition

    def _refuse(
        self, step: Step, record: Record | Arrived, topic: str, partition: int, error: BadRecord
    ) -> None:
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
                step.with_state.append(
                    (self._names.audit, audit.tenant.encode(), [audit.to_bytes()])
                )
                # A person waits for the answer.
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
