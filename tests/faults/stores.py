"""What stores do: they are slow, full or away, break off, refuse a document, and die in the middle
of a write.
"""

import asyncio
import json
import resource
from typing import Final

from aiohttp import web

from schemas.documents import Kind
from streams.exit_status import AGAIN
from tests.faults.front import Mood, Trip
from tests.faults.scene import Scene
from tests.harness.exactness.disturbing import works
from tests.harness.exactness.storing import SINK
from tests.harness.exactness.workers import Member, until
from tests.harness.metrics import scrape
from tests.harness.showing import BenchmarkFailed

TIMEOUT_S: Final = 2.0
"""How long the sink waits for one answer."""
DEADLINE_S: Final = 5.0
"""After so long the sink gives up and is started again, in the quick form; in the long one as
usual.
"""

_LASTS_S: Final = 8.0
_LONG_LASTS_S: Final = 90.0
_AWAY_S: Final = 600.0
"""The long form of a store that is away, as long as an upgrade of a cluster takes."""
_SEEN_S: Final = 30.0
_BULK_S: Final = 0.01
"""About as long as a small bulk takes: it is stopped at any moment of it."""
_ARRIVES_S: Final = 0.1
_REFUSED: Final = {Kind.ANOMALY: 2, Kind.INCIDENT: 2, Kind.AGGREGATE: 1}
_PUSHED_BACK: Final = {
    "type": "es_rejected_execution_exception",
    "reason": "rejected execution of a bulk",
}


async def slow(scene: Scene) -> None:
    """Answers take seconds, some longer than is waited for, so that what is written is written
    again.
    """
    rng = scene.rng

    async def answer(trip: Trip) -> web.StreamResponse:
        told = await trip.forward()
        await asyncio.sleep(rng.uniform(0.0, TIMEOUT_S * 1.5))
        return told

    await _behaves(scene, answer)


async def throttled(scene: Scene) -> None:
    """429 for whole requests, with and without a time to come back, and for some documents of a
    request.
    """
    rng = scene.rng

    async def answer(trip: Trip) -> web.StreamResponse:
        lot = rng.random()
        if not trip.is_bulk or lot < 0.2:
            return await trip.forward()
        if lot < 0.6:
            return await _some_pushed_back(trip, [rng.random() < 0.5 for _ in trip.items])
        told = json.dumps({"error": _PUSHED_BACK, "status": 429})
        headers = {"Retry-After": "1"} if lot < 0.8 else {}
        return web.Response(status=429, headers=headers, text=told, content_type="application/json")

    await _behaves(scene, answer)


async def _some_pushed_back(trip: Trip, not_now: list[bool]) -> web.StreamResponse:
    """As a shard answers whose queue is full: the others are written."""
    taken = [one for one, later in zip(trip.items, not_now, strict=True) if not later]
    told = await trip.forward(taken) if taken else None
    answers = iter([] if told is None else json.loads(told.text or "")["items"])
    items = [
        {one.what[0]: {"status": 429, "error": _PUSHED_BACK}} if later else next(answers)
        for one, later in zip(trip.items, not_now, strict=True)
    ]
    return web.Response(
        headers={
            "X-Elastic-Product": "Elasticsearch",
            "Content-Type": trip.request.headers["Accept"],
        },
        body=json.dumps({"items": items}).encode(),
    )


async def unavailable(scene: Scene) -> None:
    """503 to everything, for longer than the sink tries; ten minutes in the long form."""

    async def answer(trip: Trip) -> web.StreamResponse:
        # A load balancer's, not Elasticsearch's.
        return web.Response(
            status=503, text="<html>No server is available</html>", content_type="text/html"
        )

    # So that a write which it meets holds more than one document.
    await scene.flow(0.1, 0.5)
    await _behaves(scene, answer, _AWAY_S if scene.long else _LASTS_S)
    await _comes_back(scene)


async def breaking_off(scene: Scene) -> None:
    """Connections break off in the middle of a bulk: before it is passed on, after it is written,
    and within the answer.
    """
    rng = scene.rng

    async def answer(trip: Trip) -> web.StreamResponse:
        lot = rng.random()
        if not trip.is_bulk or lot < 0.3:
            return await trip.forward()
        if lot < 0.5:
            return trip.gone()
        told = await trip.forward()
        return trip.gone() if lot < 0.75 else await trip.cut(told)

    await _behaves(scene, answer)


async def refusing(scene: Scene) -> None:
    """A few documents are such that the server refuses them for ever; those around them are stored,
    and they are dead letters.
    """
    front, prefix = scene.front, scene.index_prefix

    async def answer(trip: Trip) -> web.StreamResponse:
        return await trip.forward(
            list(front.spoiled(prefix, trip.items, _REFUSED)) if trip.is_bulk else None
        )

    front.mood = answer
    await scene.flow(0.1, 2.0)
    # Read again, they are refused again.
    sink = scene.group.members[SINK]
    await until(sink.kill, _SEEN_S, "the sink does not run")
    await works(sink)

    async def seen() -> bool:
        return len(front.refused) == sum(_REFUSED.values())

    await until(
        seen, _SEEN_S, f"the store has refused {len(front.refused)} documents, and no more,"
    )


async def died(scene: Scene) -> None:
    """SIGKILL of Elasticsearch while a bulk is under way, and a new start on the same data."""
    for _ in range(3 if scene.long else 1):
        await scene.flow(0.1, 0.5)
        await _stopped_in_a_bulk(scene)
        scene.say("Elasticsearch is killed in the middle of a bulk")
        await scene.elastic.kill()
        await scene.elastic.start()
        await _comes_back(scene)


async def _stopped_in_a_bulk(scene: Scene) -> None:
    """Returns when the server has a bulk that it has not answered, and does nothing more. Raises
    BenchmarkFailed when none comes.
    """
    stopped = asyncio.Event()

    async def answer(trip: Trip) -> web.StreamResponse:
        if not trip.is_bulk or stopped.is_set():
            return await trip.forward()
        sent = asyncio.create_task(trip.forward())
        await asyncio.sleep(scene.rng.uniform(0.0, _BULK_S))
        if stopped.is_set():
            return await sent
        scene.elastic.pause()
        # What it had answered until then arrives.
        await asyncio.wait({sent}, timeout=_ARRIVES_S)
        if sent.done():
            scene.elastic.resume()
        else:
            stopped.set()
        return await sent

    scene.front.mood = answer
    try:
        await asyncio.wait_for(stopped.wait(), _SEEN_S)
    except TimeoutError as nothing:
        raise BenchmarkFailed("Elasticsearch was not caught in the middle of a bulk") from nothing
    finally:
        scene.front.mood = None


async def filled(scene: Scene) -> None:
    """No file of the sink may grow any more, as if the disk under the embedded store were full;
    then there is room again.
    """
    sink = scene.group.members[SINK]
    for _ in range(3 if scene.long else 1):
        await scene.flow(0.05, 1.0)
        pid = sink.pid
        assert pid is not None
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        scene.say("the store's disk is full")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))
        # What was under way may still be counted.
        await scene.flow(0.05, 1.0)
        before = await _documents(sink)
        await scene.flow(0.05, DEADLINE_S - 2.0)
        if await _documents(sink) != before:
            raise BenchmarkFailed("the store took documents while its disk was full")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))

        async def goes_on(before: float = before) -> bool:
            return await _documents(sink) > before

        await until(goes_on, _SEEN_S, "the sink stores nothing although there is room again")


async def _documents(sink: Member) -> float:
    """That the sink has stored since it started. Raises BenchmarkFailed when it does not answer."""
    answer = await asyncio.to_thread(scrape, sink.port)
    if answer is None:
        raise BenchmarkFailed("the sink does not answer")
    return answer["sentinel_sink_documents_total"]


async def _behaves(scene: Scene, answer: Mood, lasts_s: float | None = None) -> None:
    """So for a while, and then as ever. Raises BenchmarkFailed when nothing was asked of the store
    meanwhile: nothing would have been tested.
    """
    asked = 0

    async def counted(trip: Trip) -> web.StreamResponse:
        nonlocal asked
        asked += trip.is_bulk
        return await answer(trip)

    scene.front.mood = counted
    try:
        await scene.flow(0.1, lasts_s or (_LONG_LASTS_S if scene.long else _LASTS_S))
    finally:
        scene.front.mood = None
    scene.say(f"{asked} bulk requests were answered so")
    if not asked:
        raise BenchmarkFailed("nothing was asked of the store while it misbehaved")


async def _comes_back(scene: Scene) -> None:
    """A sink that ended because there was no store has done what it must."""
    sink = scene.group.members[SINK]
    scene.say(f"times that the sink gave up and was started again: {sink.deaths[AGAIN]}")
    sink.forgive(AGAIN)
    await works(sink)
