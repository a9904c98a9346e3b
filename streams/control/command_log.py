"""The `commands` topic as a worker has read it: what people asked for, in the order of asking."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas.errors import BadRecord, Reason
from schemas.records.control import Command, CommandKind
from schemas.secrets import Secret
from streams.control.followed import FollowedTopic
from streams.control.records import COMMAND, SIGNATURE, Headers, header, is_signed, sign
from streams.lane.outgoing import KEY_SIZE, SIZE, Outgoing
from streams.topic_names import TopicNames

_MAX_COMMANDS: Final = 33_554_432
"""Bytes of the newest commands that are kept of one partition, at least. Only a lane without state
needs older ones, and misses them. Twenty thousand commands fit: one each half hour for a year.
"""

_MAX_FAULTY: Final = 4_194_304
"""The same for records that are no valid commands. A lane that is further behind writes no dead
letters for older ones. They have a bound of their own because any client with the right to write
here can send any number of them, and they must not displace commands.
"""

_EACH: Final = 1_024
"""Approximate memory of a record besides its own bytes."""

MAX_COMMAND_BYTES: Final = 65_536
"""Maximum size of a command; what a person writes has some hundred bytes."""

_MAX_VALUE: Final = 4_096
_MAX_KEY: Final = 1_024
"""How much is kept of a record that is no valid command, for its dead letter, bytes."""

_MAX: Final = {True: _MAX_COMMANDS, False: _MAX_FAULTY}

UNSIGNED: Final = "command without our signature"
OTHER_TENANT: Final = "command of another tenant than its key"


def command_record(topic: str, command: Command, key: Secret) -> Outgoing:
    """The signed record of a command, keyed by its tenant.

    The signature holds on this topic and for this tenant, and a copy there is harmless by what
    commands say: a silence is known by its id until its end, also when it was ended before, and
    does not come back after that; an expiry names one silence, an acknowledgement one incident. A
    copy is answered with `repeated` or `refused`.
    """
    name, value = command.tenant.encode(), command.to_bytes()
    return Outgoing(
        topic,
        name,
        value,
        ((COMMAND, b"1"), (SIGNATURE, sign(key, COMMAND, topic.encode(), name, value))),
    )


def lane_command_record(topic: str, command: Command, key: Secret) -> Outgoing:
    """A signed command within a lane itself, so that it takes effect at its offset among the
    lane's records: in a header, the value is null.

    A copy, there or in another lane, is refused: it names one incident, which is over or is not
    there, and no later one has its id.
    """
    name, body = command.tenant.encode(), command.to_bytes()
    signature = sign(key, COMMAND, topic.encode(), name, body)
    return Outgoing(topic, name, None, ((COMMAND, body), (SIGNATURE, signature)))


def addressed(names: TopicNames, command: Command, key: Secret) -> Outgoing:
    """A command, signed, for the topic of the stage that obeys it: incidents are closed in their
    lane, all else is asked of `alert`.
    """
    if command.kind is CommandKind.CLOSE:
        return lane_command_record(names.anomalies, command, key)
    return command_record(names.commands, command, key)


def lane_command(topic: str, key: Secret, record: Any) -> Command | None:
    """The command of a lane's record; None when the record has none. Raises BadRecord when it does
    not count.
    """
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
    """One record of the topic: a command, or what is wrong with it, and then the beginning of its
    bytes.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    command: Command | None
    fault: BadRecord | None = None
    marks: tuple[tuple[str, bytes], ...] = ()
    """Headers that a dead letter of it has beside the usual ones."""

    @property
    def size(self) -> int:
        """Approximate memory of it, bytes."""
        said = self.command
        own = (
            0
            if said is None
            else len(said.comment) + len(said.target) + sum(map(len, said.matchers))
        )
        return _EACH + len(self.key or b"") + len(self.value or b"") + own


class Readable(Protocol):
    """A record of the topic as either Kafka client returns it."""

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
    """The record, checked: a command must have a valid signature, and the tenant of its key."""
    headers: Headers = record.headers
    key, value = record.key, record.value

    def bad(fault: BadRecord) -> Arrived:
        marks = record.marks
        if value is not None and len(value) > _MAX_VALUE:
            marks = (*marks, (SIZE, b"%d" % len(value)))
        if key is not None and len(key) > _MAX_KEY:
            marks = (*marks, (KEY_SIZE, b"%d" % len(key)))
        return Arrived(
            partition,
            record.offset,
            key and key[:_MAX_KEY],
            value and value[:_MAX_VALUE],
            None,
            fault,
            marks,
        )

    if record.fault is not None:
        return bad(record.fault)
    if value is not None and len(value) > MAX_COMMAND_BYTES:
        return bad(BadRecord(Reason.TOO_LARGE))
    if value is None or not is_signed(
        signing_key, headers, COMMAND, topic.encode(), key or b"", value
    ):
        return bad(BadRecord(UNSIGNED))
    try:
        command = Command.from_bytes(value)
    except BadRecord as fault:
        return bad(fault)
    if command.tenant.encode() != key:
        return bad(BadRecord(OTHER_TENANT, "tenant"))
    return Arrived(partition, record.offset, key, None, command)


class CommandLog(FollowedTopic):
    """Reads all of the topic at the start, and follows it; each lane asks for what is new to it."""

    def __init__(self, client: Mapping[str, Any], topic: str, key: Secret) -> None:
        super().__init__(client, topic)
        self._key = key
        self._kept: dict[int, list[Arrived]] = {}
        self._sizes = Counter[tuple[int, bool]]()
        """Bytes that are kept, by partition and whether they are of commands."""

    @property
    def topic(self) -> str:
        """Its name."""
        return self._topic

    def ends(self) -> dict[int, int]:
        """By partition, the offset after the last record that is known; partitions without one are
        left out.
        """
        return {partition: kept[-1].offset + 1 for partition, kept in self._kept.items()}

    def since(self, partition: int, offset: int) -> Iterator[Arrived]:
        """The records of a partition from this offset on, in order."""
        kept = self._kept.get(partition, [])
        # Each lane asks before each of its steps, and nearly always for none.
        return iter(kept[bisect_left(kept, offset, key=lambda record: record.offset) :])

    def _on_record(self, partition: int, record: Any) -> None:
        one = arrived(self._topic, self._key, partition, record)
        self._kept.setdefault(partition, []).append(one)
        which = (partition, one.command is not None)
        self._sizes[which] += one.size
        # A quarter above the bound, so that not every record makes the whole list be searched.
        if self._sizes[which] > _MAX[which[1]] * 5 // 4:
            self._forget(partition)

    def _forget(self, partition: int) -> None:
        """Keeps the newest commands of a partition, and the newest of its other records, each up to
        their bytes.
        """
        sizes = {True: 0, False: 0}
        full: set[bool] = set()
        newest: list[Arrived] = []
        for one in reversed(self._kept[partition]):
            is_command = one.command is not None
            if sizes[is_command] + one.size > _MAX[is_command]:
                full.add(is_command)
            # Once one did not fit, no older one of its kind is kept: a gap would hide a command.
            if is_command not in full:
                sizes[is_command] += one.size
                newest.append(one)
        self._kept[partition] = newest[::-1]
        for is_command, size in sizes.items():
            self._sizes[partition, is_command] = size
