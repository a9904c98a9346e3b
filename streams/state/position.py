"""The position of a lane in its log: where it continues, stored with the state that belongs to
it.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from schemas.errors import UserError
from streams.state.chunks import NewerState

KEY: Final = b"position"
_VERSION: Final = 1
OURS: Final = "sentinel"
"""Metadata of each offset that a worker commits: it says that there is state for it, or was."""


class Refused(UserError):
    """The lane must not go on as things are; the message is one line that says what to do."""


class Displaced(Exception):
    """What a running lane relied on has changed under it, such as the begin of its log: a new start
    reads how things are now.
    """


@dataclass(frozen=True, slots=True)
class Position:
    """`offset` is that of the next record to process; `topic_id` identifies the topic that it
    counts in (None where the broker has no ids).
    """

    offset: int
    topic_id: str | None

    def to_bytes(self) -> bytes:
        """The value that is stored under `KEY`."""
        return orjson.dumps({"version": _VERSION, "offset": self.offset, "topic_id": self.topic_id})

    @staticmethod
    def from_bytes(value: bytes) -> "Position":
        """Raises NewerState when a newer program wrote it."""
        stored = orjson.loads(value)
        if stored["version"] > _VERSION:
            raise NewerState(
                f"the position has version {stored['version']}, this program reads up to {_VERSION}"
            )
        return Position(stored["offset"], stored["topic_id"])


@dataclass(frozen=True, slots=True)
class Committed:
    """The offset that a group committed for a partition, with its metadata."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Log:
    """What the broker says of an input partition: its topic's id, first offset, and next offset to
    be written.
    """

    topic_id: str | None
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where a lane continues. `jumped` is the number of offsets that retention deleted before the
    lane read them; `first` says that the lane had no stored position.
    """

    position: Position
    jumped: int
    first: bool


def start_of(lane: str, stored: Position | None, committed: Committed | None, log: Log) -> Start:
    """Where a lane begins.

    The stored position; without one the group's committed offset, if a person set it, else the
    log's begin. Where the log begins after the position, the lane jumps to its begin.

    Raises:
        Refused: the topic is not the one that the position counts in, or the log ends before the
        position, or the state of the lane was lost.

    >>> start_of("detect/0", None, None, Log("a", 5, 9)).position.offset
    5
    >>> start_of("detect/0", Position(3, "a"), None, Log("a", 5, 9)).jumped
    2
    """
    stage, _, number = lane.partition("/")
    if stored is None:
        # A worker's commit without state means that the state topic was lost. A person's commit,
        # which has no such metadata, says where to begin.
        if committed is not None and committed.metadata == OURS and log.topic_id is not None:
            raise Refused(
                f"lane {lane}: its state is gone: a worker committed offset {committed.offset}, and"
                " the state topic has nothing of the lane. Bring the topic back, or let the lane"
                f" start there without what it knew: {reset_command(stage, number)}"
            )
        offset = log.begin if committed is None else min(max(committed.offset, log.begin), log.end)
        return Start(Position(offset, log.topic_id), 0, first=True)
    if stored.topic_id is not None and log.topic_id is not None and stored.topic_id != log.topic_id:
        raise Refused(made_again(stage, number))
    if stored.offset > log.end:
        raise Refused(
            f"lane {lane}: stands at offset {stored.offset}, but the log ends at {log.end}; "
            f"if records were taken away on purpose, run: {reset_command(stage, number)}"
        )
    if stored.offset < log.begin:
        return Start(Position(log.begin, log.topic_id), log.begin - stored.offset, first=False)
    return Start(stored, 0, first=False)


def made_again(stage: str, number: int | str) -> str:
    """Error text for a lane whose input is another topic than the one its position counts in."""
    return (
        f"lane {stage}/{number}: the topic was deleted and made again since its state was written; "
        f"if that was meant, run: {reset_command(stage, number)}"
    )


def reset_command(stage: str, number: int | str) -> str:
    """The command that resets a lane, so that it starts without state."""
    return f"sentinel lanes reset {stage} --lane {number} --yes"
