"""A rebalance that cancels another leaves nothing half open in the state store."""

import asyncio
from typing import Any

import pytest

from streams.lane import kafka_state_store
from streams.lane.kafka_state_store import KafkaStateStore


async def test_changelogs_that_were_being_read_are_all_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when one of them cannot be closed, and without hiding the cancellation."""
    closed: list[int] = []
    reads = asyncio.Event()

    class Opens:
        """A changelog without a broker."""

        def __init__(self, client: Any, name: str, topic: str, partition: int) -> None:
            self._partition = partition

        async def open(self) -> None:
            """At once."""

        async def close(self) -> None:
            """Fails for the first."""
            closed.append(self._partition)
            if self._partition == 0:
                raise ConnectionError

    async def never(*_: Any) -> None:
        reads.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(kafka_state_store, "Changelog", Opens)
    monkeypatch.setattr(kafka_state_store, "read_back", never)
    opening = asyncio.create_task(KafkaStateStore({}, "t", "t-").open([0, 1], lambda: None))
    await reads.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert sorted(closed) == [0, 1]
