"""What producers send: records that cannot be taken, records that are large, and everything twice and out of order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.exactness_run.traffic import Chunk
from schemas.errors import BadRecord
from schemas.records import TelemetryEvent
from tests.faults.scene import Scene

_IN_A_ROW: Final = (1, 5, 500)
_LARGE: Final = (64_000, 300_000, 900_000)
"""Characters of text: some that a record may have, more than it may, and almost more than a producer sends."""
_MINUTE_US: Final = 60_000_000


async def bad(scene: Scene) -> None:
    """1, 5 and 500 records in a row that cannot be taken."""
    for count in _IN_A_ROW * (3 if scene.long else 1):
        for chunk in _samples(scene):
            key, value = next((key, value) for key, value in zip(chunk.keys, chunk.values, strict=True) if value)
            scene.sender.send_too(_chunk([(key, value[:-11])] * count))
        await scene.flow(0.05, 1.0)


async def large(scene: Scene) -> None:
    """Records of up to almost as much as a producer sends, which make dead letters as large."""
    for chunk in _samples(scene):
        events = [(key, event) for key, value in zip(chunk.keys, chunk.values, strict=True) if (event := _event(value))]
        for size in _LARGE:
            longer = [(key, replace(event, prompt_text="x" * size).to_bytes()) for key, event in events[:2]]
            scene.sender.send_too(_chunk(longer))
    await scene.flow(0.1, 2.0)


async def disordered(scene: Scene) -> None:
    """Whole stretches are sent twice, shuffled, minutes late and minutes ahead."""
    for number in range(10 if scene.long else 3):
        for chunk in _samples(scene):
            pairs = list(zip(chunk.keys, chunk.values, strict=True))
            scene.rng.shuffle(pairs)
            moved = [(key, _moved(value, scene.rng.choice((0, 0, -10, 10)))) for key, value in pairs]
            scene.sender.send_too(_chunk(moved))
        await scene.flow(0.03, 1.0 + number % 2)


def _samples(scene: Scene) -> list[Chunk]:
    """A few chunks of the plan's own traffic, from its first third: its lanes have been there already."""
    chunks = scene.plan.traffic.chunks()
    return [chunk for _, chunk in zip(range(4), chunks, strict=False)]


def _moved(value: bytes | None, minutes: int) -> bytes | None:
    """The same event at another time; what is no event stays as it is."""
    event = _event(value)
    if event is None or not minutes:
        return value
    return replace(event, event_time=event.event_time + minutes * _MINUTE_US).to_bytes()


def _event(value: bytes | None) -> TelemetryEvent | None:
    try:
        return None if value is None else TelemetryEvent.from_bytes(value)
    except BadRecord:
        return None


def _chunk(records: Sequence[tuple[bytes, bytes | None]]) -> Chunk:
    return Chunk([key for key, _ in records], [value for _, value in records], [[] for _ in records])
