"""The stage `alert`: incidents in, messages out, every decision on `notifications` before the message is on its way."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from agents.alerting.alerter import Alerter
from agents.alerting.decisions import Decision, Outcome
from agents.alerting.messages import Delivery
from agents.alerting.settings import AlertSettings
from schemas.errors import BadRecord
from schemas.records import Incident
from streams import metrics
from streams.blocks import Block
from streams.outgoing import Step, dead_letter
from streams.stage import LaneProgram, Stage
from streams.topics import TopicNames

Now = Callable[[], int]
"""The wall clock, µs."""


class Begin(Protocol):
    """Starts deliveries whose decision is durable."""

    def __call__(self, lane: "AlertLane", deliveries: list[Delivery]) -> None: ...


class AlertLane:
    """One partition of incidents (streams.stage: `LaneProgram`). It lives in wall-clock time: `now` is asked once per step."""

    def __init__(self, partition: int, settings: AlertSettings, names: TopicNames, now: Now, begin: Begin) -> None:
        self.partition = partition
        self._names, self._now, self._begin = names, now, begin
        self._alerter = Alerter(settings, partition)
        self.wants_ticks = False

    def settings_named(self, block: Block) -> set[str]:
        """None: detection's settings do not concern it."""
        return set()

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Takes the rows of `changes`. Raises NewerState."""
        self._alerter.restore(rows)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows changed since the last call."""
        return iter(self._alerter.changed())

    def pending(self) -> list[Delivery]:
        """Deliveries begun before the lane came here, to be begun again under the same ids."""
        return self._alerter.pending()

    def is_due(self) -> bool:
        """Whether a summary waits to be sent."""
        due = self._alerter.next_wake()
        return due is not None and due <= self._now()

    def step(self, block: Block) -> Step:
        """Every incident in offset order; a bad record becomes a dead letter."""
        step, now = Step(), self._now()
        for record in block.records():
            try:
                incident = Incident.from_bytes(record.value or b"")
            except BadRecord as error:
                step.bad += 1
                metrics.BAD_RECORDS.labels("alert", error.reason).inc()
                step.now.append(
                    dead_letter(
                        self._names.dead_letters,
                        record.key,
                        record.value,
                        block.topic,
                        block.partition,
                        record.offset,
                        error.reason,
                        error.field,
                        error.schema_id,
                    )
                )
                continue
            step.events += 1
            self._decided(self._alerter.on_incident(incident, offset=record.offset, now=now), step)
        return step

    def wake(self) -> Step:
        """Sends what waited for time."""
        step = Step()
        self._decided(self._alerter.on_wake(self._now()), step)
        return step

    def ended(self, notification_id: str, outcome: Outcome, status: int | None, attempt: int) -> Step:
        """Notes the fate of a delivery."""
        step = Step()
        decisions = self._alerter.on_outcome(notification_id, outcome, status=status, attempt=attempt, now=self._now())
        self._decided(decisions, step)
        return step

    def _decided(self, decisions: list[Decision], step: Step) -> None:
        for decision in decisions:
            metrics.DECISIONS.labels(decision.reason).inc()
            note = decision.notification
            if note is not None:
                key = f"{note.tenant}/{note.incident_id}".encode()
                step.with_state.append((self._names.notifications, key, [note.to_bytes()]))
        deliveries = [decision.delivery for decision in decisions if decision.delivery is not None]
        if deliveries:
            # Durable before the call that carries them out.
            step.flush = True
            step.then.append(lambda: self._begin(self, deliveries))


def alert_stage(names: TopicNames, settings: AlertSettings, now: Now, begin: Begin) -> Stage:
    """Makes the stage; `begin` is the courier's."""

    def new_lane(partition: int) -> LaneProgram:
        return AlertLane(partition, settings, names, now, begin)

    return Stage("alert", names.incidents, names.state("alert"), f"{names.prefix}alert", new_lane)
