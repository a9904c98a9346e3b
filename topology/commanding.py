"""Commands of people: brought to the topic, and read from it."""

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from schemas.ids import record_id
from schemas.records import Command, CommandKind
from schemas.secrets import Secret
from streams.brokers import producer_config
from streams.command_log import arrived, command_record
from streams.position import Refused
from streams.settings import Broker
from streams.topics import TopicNames
from topology.reading import Read, whole

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
    """A new silence; its id is made from all that it says."""
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


def about(kind: CommandKind, tenant: str, target: str, *, author: str, comment: str, now: int) -> Command:
    """A command about one thing: an incident to acknowledge, a silence to expire. Sent twice by anybody it is the same."""
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
    """Puts it on `commands`, signed; returns when it is durable.

    Raises:
        Refused: there is no key to sign with, or the broker did not take it.
    """
    if not key:
        raise Refused("commands are signed, and no key is set; give worker.control_key_file, the same for every worker")
    faults: list[str] = []

    def done(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            faults.append(error.str())

    producer = Producer(producer_config(broker))
    record = command_record(TopicNames(broker.topic_prefix).commands, command, key)
    producer.produce(record.topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=done)
    if producer.flush(_TIMEOUT_S):
        faults.append("the broker did not answer in time")
    if faults:
        raise Refused(f"the command was not taken: {faults[0]}; try again, the same command counts once")


@dataclass(frozen=True, slots=True)
class Standing:
    """A silence that has not ended."""

    command: Command
    expired_by: str = ""
    """Who ended it before its time; empty while it holds."""


def silences(broker: Broker, key: Secret, now: int, tenant: str | None = None) -> list[Standing]:
    """The silences that are not past their end, in the order in which they end. Raises KafkaException."""
    topic = TopicNames(broker.topic_prefix).commands
    known: dict[tuple[str, str], Standing] = {}
    for command in _commands(whole(broker, [topic]), topic, key):
        place = (command.tenant, command.target or command.id)
        if command.kind is CommandKind.SILENCE and (command.ends_at or 0) > now:
            known.setdefault(place, Standing(command))
        elif command.kind is CommandKind.EXPIRE and place in known:
            known[place] = Standing(known[place].command, command.author)
    kept = [one for one in known.values() if tenant in (None, one.command.tenant)]
    return sorted(kept, key=lambda one: (one.command.ends_at or 0, one.command.id))


def _commands(records: Iterator[Read], topic: str, key: Secret) -> Iterator[Command]:
    for record in records:
        command = arrived(topic, key, record.partition, record).command
        if command is not None:
            yield command
