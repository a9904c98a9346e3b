"""What producers send: records that cannot be taken, that kill the decoder, that are large, of two
schemas, twice and out of order.
"""

import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from schemas.errors import BadRecord
from schemas.records.telemetry import TelemetryEvent
from tests.faults import older
from tests.faults.astray import DEADLY, astray
from tests.faults.scene import Scene
from tests.harness.exactness.disturbing import works
from tests.harness.exactness.traffic import Chunk
from tests.harness.exactness.workers import until
from topology.stages.standalone import CRASH_NOTE
from topology.supervision.condemning import Condemner
from topology.supervision.supervisor import Child

_IN_A_ROW: Final = (1, 5, 500)
_LARGE: Final = (64_000, 300_000, 900_000)
"""Characters of text: some that a record may have, more than it may, and almost more than a
producer sends.
"""
_DEATHS_S: Final = 480.0
"""Three records of a chunk, each with a death, a few tries of single records, and a start: 25 s on
a machine that does nothing else.
"""
_MINUTE_US: Final = 60_000_000


async def bad(scene: Scene) -> None:
    """1, 5 and 500 records in a row that cannot be taken."""
    for count in _IN_A_ROW * (3 if scene.long else 1):
        for chunk in _samples(scene):
            key, value = next(
                (key, value) for key, value in zip(chunk.keys, chunk.values, strict=True) if value
            )
            scene.sender.send_too(_chunk([(key, value[:-11])] * count))
        await scene.flow(0.05, 1.0)


async def deadly(scene: Scene) -> None:
    """Records of which native code dies: its supervisor finds each, and it is skipped; its
    neighbours count.
    """
    plan, note = scene.plan, scene.group.folder / "decoding"
    condemned: set[str] = set()
    condemner = Condemner(
        plan.broker, plan.control_key, note, condemned.add, astray("deadly", "try")
    )

    async def looks(status: int) -> None:
        await condemner.after_death(Child("detect", []), status)

    program, noted = astray("deadly"), {CRASH_NOTE: str(note)}
    before = scene.group.only("detect")
    worker = scene.group.add(
        "detect-deadly", "detect", program, environment=noted, after_death=looks
    )
    await works(worker)
    await before.leave()
    async with scene.harm("records kill the decoder"):
        sent = deaths = 0
        for chunk in _samples(scene)[: 4 if scene.long else 2]:
            events = _events(chunk)
            deadly = [
                (key, replace(event, prompt_text=DEADLY).to_bytes()) for key, event in events[:3]
            ]
            scene.sender.send_too(
                _chunk([*deadly, *((key, event.to_bytes()) for key, event in events[3:6])])
            )
            sent += len(deadly)

            async def are_known(sent: int = sent) -> bool:
                return sum("it is skipped" in line for line in condemned) == sent

            await until(are_known, _DEATHS_S, "not every record that kills the decoder is found")
            # Each record may take a death, and all of them more than a worker may die by itself.
            deaths += worker.deaths[-signal.SIGSEGV]
            worker.forgive(-signal.SIGSEGV)
            await works(worker)
    scene.say(f"{deaths} deaths, {sent} records skipped")


async def of_two_schemas(scene: Scene) -> None:
    """Half of the producers still write an older schema: records of both stand side by side in
    every partition.
    """
    before = scene.group.only("detect")
    worker = scene.group.add("detect-both", "detect", astray("older-schema"))
    await works(worker)
    await before.leave()
    for _ in range(10 if scene.long else 3):
        for chunk in _samples(scene):
            both = [
                (
                    key,
                    older.rewritten(event.to_bytes())
                    if scene.rng.random() < 0.5
                    else event.to_bytes(),
                )
                for key, event in _events(chunk)
            ]
            scene.sender.send_too(_chunk(both))
        await scene.flow(0.03, 1.0)


async def large(scene: Scene) -> None:
    """Records of up to almost as much as a producer sends, which make dead letters as large."""
    for chunk in _samples(scene):
        for size in _LARGE:
            longer = [
                (key, replace(event, prompt_text="x" * size).to_bytes())
                for key, event in _events(chunk)[:2]
            ]
            scene.sender.send_too(_chunk(longer))
    await scene.flow(0.1, 2.0)


async def disordered(scene: Scene) -> None:
    """Whole stretches are sent twice, shuffled, minutes late and minutes ahead."""
    for number in range(10 if scene.long else 3):
        for chunk in _samples(scene):
            pairs = list(zip(chunk.keys, chunk.values, strict=True))
            scene.rng.shuffle(pairs)
            moved = [
                (key, _moved(value, scene.rng.choice((0, 0, -10, 10)))) for key, value in pairs
            ]
            scene.sender.send_too(_chunk(moved))
        await scene.flow(0.03, 1.0 + number % 2)


def _samples(scene: Scene) -> list[Chunk]:
    """A few chunks of the plan's own traffic, from its first third: its lanes have been there
    already.
    """
    chunks = scene.plan.traffic.chunks()
    return [chunk for _, chunk in zip(range(4), chunks, strict=False)]


def _events(chunk: Chunk) -> list[tuple[bytes, TelemetryEvent]]:
    """The good ones, each with its key."""
    return [
        (key, event)
        for key, value in zip(chunk.keys, chunk.values, strict=True)
        if (event := _event(value))
    ]


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
    return Chunk(
        [key for key, _ in records], [value for _, value in records], [[] for _ in records]
    )
