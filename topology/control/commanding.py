"""Commands of people: written to the topic, and read from it."""

import time
from dataclasses import dataclass, replace
from enum import StrEnum

from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import BadRecord
from schemas.ids import record_id
from schemas.records.control import Audit, AuditOutcome, Command, CommandKind
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.command_log import addressed, arrived
from streams.settings import Broker
from streams.state.position import Refused
from streams.topic_names import TopicNames
from topology.control.reading import Read, follow, whole

_TIMEOUT_S = 30.0


def silence(
    tenant: str,
    matchers: tuple[str, ...],
    *,
    author: str,
    comment: str,
    now: int,
    ends_at: int,
    starts_at: int | None = None,
) -> Command:
    """A new silence; its id is computed from its content."""
    start = starts_at or now
    name = record_id("silence", tenant, *matchers, author, comment, start, ends_at)
    return Command(
        id=name,
        tenant=tenant,
        kind=CommandKind.SILENCE,
        author=author,
        at=now,
        target="",
        matchers=matchers,
        starts_at=start,
        ends_at=ends_at,
        comment=comment,
    )


def about(
    kind: CommandKind, tenant: str, target: str, *, author: str, comment: str, now: int
) -> Command:
    """A command about one thing: an incident to acknowledge, a silence to expire. Commands of
    different people about the same thing have the same id.
    """
    return Command(
        id=record_id(kind, tenant, target),
        tenant=tenant,
        kind=kind,
        author=author,
        at=now,
        target=target,
        matchers=(),
        comment=comment,
    )


def publish(broker: Broker, command: Command, key: Secret) -> None:
    """Write it to `commands`, or to `anomalies` if it closes an incident, signed; returns when it
    is durable.

    Raises:
        Refused: there is no key to sign with, or the broker did not accept it.
    """
    if not key:
        raise Refused(
            "commands are signed, and no key is set; give worker.control_key_file, the same for"
            " every worker"
        )
    faults: list[str] = []

    def done(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            faults.append(error.str())

    producer = Producer(producer_config(broker))
    record = addressed(TopicNames(broker.topic_prefix), command, key)
    producer.produce(
        record.topic,
        value=record.value,
        key=record.key,
        headers=list(record.headers),
        on_delivery=done,
    )
    if producer.flush(_TIMEOUT_S):
        faults.append("the broker did not answer in time")
    if faults:
        raise Refused(
            f"the command was not accepted: {faults[0]}; try again, the same command counts once"
        )


def carried_out(broker: Broker, command: Command, key: Secret, wait_s: float) -> Audit | None:
    """Publishes a command and waits for its result; None if there is none within `wait_s`.

    Raises Refused as `publish` does, and KafkaException.
    """
    deadline = time.monotonic() + wait_s

    def published() -> None:
        nonlocal deadline
        publish(broker, command, key)
        # Publishing takes time of its own; the wait begins after it.
        deadline = time.monotonic() + wait_s

    topic = TopicNames(broker.topic_prefix).audit
    # Published when the reader is at the end of the topic, so that no result is missed.
    for record in follow(broker, [topic], lambda: time.monotonic() > deadline, from_now=published):
        audit = _audit(record)
        if audit is not None and (audit.tenant, audit.command_id) == (command.tenant, command.id):
            return audit
    return None


class SilenceState(StrEnum):
    """State of a silence, according to the records of `alert` alone."""

    WAITING = "waiting"
    """`alert` has not processed it yet: nothing is held back."""

    APPLIED = "applied"
    """It holds messages back until its end."""

    REFUSED = "refused"
    """`alert` rejected it; `detail` says why."""

    ENDING = "ending"
    """A person asked to end it before its time, and `alert` has not processed that yet."""

    ENDED = "ended"
    """A person ended it before its time."""


@dataclass(frozen=True, slots=True)
class CurrentSilence:
    """A silence that is not past its end."""

    command: Command
    state: SilenceState = SilenceState.WAITING
    detail: str = ""
    """The reason that `alert` gives."""
    expired_by: str = ""
    """Who asked to end it early; empty if nobody has, or that was refused."""

    @property
    def can_be_ended(self) -> bool:
        """Whether there is something to end: a refused silence holds nothing back."""
        return self.state in (SilenceState.WAITING, SilenceState.APPLIED)


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of people that still matter, and the results of all."""

    silences: list[CurrentSilence]
    """Those that are not past their end, in the order in which they end."""
    acknowledgements: list[Command]
    """The newest of each incident that `alert` has not refused, newest first."""
    audits: list[Audit]
    """Results of all commands, newest first."""


def requests(broker: Broker, key: Secret, now: int) -> Requests:
    """Reads both topics completely; `now` in µs.

    The result of each command is read from `audit`, so that the rules are implemented once, in
    `alert`. Raises KafkaException.
    """
    asked, audits = _asked(broker, key)
    answered: dict[tuple[str, str], Audit] = {}
    for audit in audits:
        _note(answered, audit)
    known: dict[tuple[str, str], CurrentSilence] = {}
    acknowledged: dict[tuple[str, str], Command] = {}
    for command in asked:
        place, answer = (
            (command.tenant, command.target or command.id),
            answered.get((command.tenant, command.id)),
        )
        if command.kind is CommandKind.SILENCE and (command.ends_at or 0) > now:
            known.setdefault(place, _standing(command, answer))
        elif command.kind is CommandKind.EXPIRE and place in known:
            known[place] = _ending(known[place], command, answer)
        elif command.kind is CommandKind.ACKNOWLEDGE and (
            answer is None or answer.outcome is not AuditOutcome.REFUSED
        ):
            acknowledged[place] = command
    return Requests(
        sorted(known.values(), key=lambda one: (one.command.ends_at or 0, one.command.id)),
        sorted(acknowledged.values(), key=lambda one: (-one.at, one.id)),
        sorted(audits, key=_age, reverse=True),
    )


def silences(
    broker: Broker, key: Secret, now: int, tenant: str | None = None
) -> list[CurrentSilence]:
    """The silences that are not past their end at `now` (µs), in the order in which they end.
    Raises KafkaException.
    """
    return [
        one for one in requests(broker, key, now).silences if tenant in (None, one.command.tenant)
    ]


def _asked(broker: Broker, key: Secret) -> tuple[list[Command], list[Audit]]:
    """All commands, and the answers to them, each in the order of its topic."""
    names = TopicNames(broker.topic_prefix)
    asked: list[Command] = []
    audits: list[Audit] = []
    for record in whole(broker, [names.commands, names.audit]):
        if record.topic == names.audit:
            if (audit := _audit(record)) is not None:
                audits.append(audit)
        elif (
            command := arrived(names.commands, key, record.partition, record).command
        ) is not None:
            asked.append(command)
    return asked, audits


def _standing(command: Command, answer: Audit | None) -> CurrentSilence:
    if answer is None:
        return CurrentSilence(command)
    is_refused = answer.outcome is AuditOutcome.REFUSED
    return CurrentSilence(
        command, SilenceState.REFUSED if is_refused else SilenceState.APPLIED, answer.detail
    )


def _ending(silence: CurrentSilence, command: Command, answer: Audit | None) -> CurrentSilence:
    if silence.state in (SilenceState.REFUSED, SilenceState.ENDED):
        return silence
    if answer is None:
        return replace(silence, state=SilenceState.ENDING, expired_by=command.author)
    if answer.outcome is AuditOutcome.REFUSED:
        return silence
    return replace(silence, state=SilenceState.ENDED, expired_by=answer.author)


def audits(broker: Broker, tenant: str | None = None, since: int | None = None) -> list[Audit]:
    """Results of commands, newest first; `since` in µs. Raises KafkaException."""
    found = (_audit(record) for record in whole(broker, [TopicNames(broker.topic_prefix).audit]))
    kept = [
        one
        for one in found
        if one is not None and tenant in (None, one.tenant) and one.at >= (since or 0)
    ]
    return sorted(kept, key=_age, reverse=True)


def _age(audit: Audit) -> tuple[int, str]:
    return audit.at, audit.id


def _note(answered: dict[tuple[str, str], Audit], audit: Audit) -> None:
    """Keeps the relevant result of a command that was sent more than once: applied, or else the
    newest.
    """
    place = (audit.tenant, audit.command_id)
    if place not in answered or answered[place].outcome is not AuditOutcome.APPLIED:
        answered[place] = audit


def _audit(record: Read) -> Audit | None:
    """None for a record that does not decode: it must not hide the others."""
    try:
        return Audit.from_bytes(record.value or b"")
    except BadRecord:
        return None
