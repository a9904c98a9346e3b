"""Ports: what the lanes of a stage need besides their state store."""

from collections.abc import Collection, Sequence
from typing import Protocol

from streams.lane.outgoing import Outgoing
from streams.state.position import Committed, Log


class Sender(Protocol):
    """Produces records that must be durable before the lane continues."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Produce in order; return when the broker has acknowledged all."""
        ...


class InputLogs(Protocol):
    """What the broker knows about the input topic."""

    async def describe(self, partitions: Collection[int]) -> dict[int, Log]:
        """Return topic id, begin and end of each partition. Raises Refused if there is no topic."""
        ...

    async def committed(self, partition: int) -> Committed | None:
        """Return what the consumer group committed, if anything."""
        ...


class CatchesUp(Protocol):
    """A small topic that lanes must know: settings versions, or commands."""

    async def catch_up(self) -> None:
        """Return when everything has been read that is on the topic now."""
        ...


class KnownSettings(Protocol):
    """The settings versions that this worker has read."""

    async def wait_for(self, version: str) -> None:
        """Return when the version has been read."""
        ...
