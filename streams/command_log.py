"""The `commands` topic as a worker knows it: what people ask for, in the order in which they asked."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas.errors import BadRecord
from schemas.records import Command, CommandKind
from schemas.secrets import Secret
from streams.control import COMMAND, SIGNATURE, Headers, header, is_signed, sign
from streams.followed import FollowedTopic
from streams.outgoing import Outgoing
from streams.topics import TopicNames

_MOST_KEPT: Final = 20_000
"""Commands of one partition that are kept at least: the newest. A lane that never took any (a new installation's) would miss older ones, which are
a year of commands, one each half hour."""

UNSIGNED: Final = "command without our signature"
OTHER_TENANT: Final = "command of another tenant than its key"


def command_record(topic: str, command: Command, key: Secret) -> Outgoing:
    """A command, signed, as it stands on the topic under its tenant.

    The signature holds on this topic and for this tenant, and a copy there is harmless by what commands say: a silence is known by its id until its
    end, also when it was ended before, and does not come back after that; an expiry names one silence, an acknowledgement one incident. A copy is
    answered with `repeated` or `refused`.
    """
    name, value = command.tenant.encode(), command.to_bytes()
    return Outgoing(topic, name, value, ((COMMAND, b"1"), (SIGNATURE, sign(key, COMMAND, topic.encode(), name, value))))


def lane_command_record(topic: str, command: Command, key: Secret) -> Outgoing:
    """A command that stands in a lane itself, signed, so that it counts at its place among the lane's records: in a header, the value is null.

    A copy, there or in another lane, is refused: it names one incident, which is over or is not there, and no later one has its id.
    """
    name, body = command.tenant.encode(), command.to_bytes()
    signature = sign(key, COMMAND, topic.encode(), name, body)
    return Outgoing(topic, name, None, ((COMMAND, body), (SIGNATURE, signature)))


def addressed(names: TopicNames, command: Command, key: Secret) -> Outgoing:
    """A command, signed, for the topic of the stage that obeys it: incidents are closed in their lane, all else is asked of `alert`."""
    if command.kind is CommandKind.CLOSE:
        return lane_command_record(names.anomalies, command, key)
    return command_record(names.commands, command, key)


def lane_command(topic: str, key: Secret, record: Any) -> Command | None:
    """The command of a lane's record; None when the record has none. Raises BadRecord when it does not count."""
    body = header(record.headers, COMMAND)
    if body is None:
        return None
    if not is_signed(key, record.headers, COMMAND, topic.encode(), record.key or b"", body):
        raise BadRecord(UNSIGNED)
    command = Command.from_bytes(body)
    if command.tenant.encode() != record.key:
        raise BadRecord(OTHER_TENANT, "tenant")
    return command


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record of the topic: a command, or what is wrong with it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    command: Command | None
    fault: BadRecord | None = None
    marks: tuple[tuple[str, bytes], ...] = ()
    """Headers that a dead letter of it has beside the usual ones."""


class Readable(Protocol):
    """A record of the topic, read in whatever way."""

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def fault(self) -> BadRecord | None:
        """What is wrong with it, or with its batch."""

    @property
    def marks(self) -> tuple[tuple[str, bytes], ...]:
        """Headers that a dead letter of it has beside the usual ones."""


def arrived(topic: str, signing_key: Secret, partition: int, record: Readable) -> Arrived:
    """The record as it counts: only with our signature, and only for the tenant that it is keyed by."""
    headers: Headers = record.headers
    key, value = record.key, record.value

    def bad(fault: BadRecord) -> Arrived:
        return Arrived(partition, record.offset, key, value, None, fault, record.marks)

    if record.fault is not None:
        return bad(record.fault)
    if value is None or not is_signed(signing_key, headers, COMMAND, topic.encode(), key or b"", value):
        return bad(BadRecord(UNSIGNED))
    try:
        command = Command.from_bytes(value)
    except BadRecord as fault:
        return bad(fault)
    if command.tenant.encode() != key:
        return bad(BadRecord(OTHER_TENANT, "tenant"))
    return Arrived(partition, record.offset, key, value, command)


class CommandLog(FollowedTopic):
    """Reads the topic whole at the start, and follows it; lanes ask what is new to them."""

    def __init__(self, client: Mapping[str, Any], topic: str, key: Secret) -> None:
        super().__init__(client, topic)
        self._key = key
        self._kept: dict[int, list[Arrived]] = {}

    @property
    def topic(self) -> str:
        """Its name."""
        return self._topic

    def ends(self) -> dict[int, int]:
        """By partition, the offset after the last record that is known; partitions without one are left out."""
        return {partition: kept[-1].offset + 1 for partition, kept in self._kept.items()}

    def since(self, partition: int, offset: int) -> Iterator[Arrived]:
        """The records of a partition from this offset on, in order."""
        kept = self._kept.get(partition, [])
        # Each lane asks before each of its steps, and nearly always for none.
        return iter(kept[bisect_left(kept, offset, key=lambda record: record.offset) :])

    async def wait_for(self, version: str) -> None:
        """Lanes that obey commands name no settings versions."""
        raise NotImplementedError(f"a lane of alert waits for settings {version}")

    def _take_record(self, partition: int, record: Any) -> None:
        kept = self._kept.setdefault(partition, [])
        kept.append(arrived(self._topic, self._key, partition, record))
        if len(kept) >= 2 * _MOST_KEPT:
            del kept[:-_MOST_KEPT]
