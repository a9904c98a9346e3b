"""What happens to the broker, and to the network before it."""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Final

from tests.faults.scene import Scene
from tests.harness.servers.kafka import KafkaServer

_PAUSE_S: Final = 8.0
_LONG_PAUSE_S: Final = 45.0
_HOLE_S: Final = 10.0
_FULL_S: Final = 6.0
_SLOW_S: Final = 10.0
_RESETS: Final = 5


async def paused(scene: Scene) -> None:
    """The broker stands still for longer than sessions last, connections open."""
    await scene.flow()
    async with scene.harm("the broker is paused"):
        scene.kafka.pause()
        try:
            await asyncio.sleep(_LONG_PAUSE_S if scene.long else _PAUSE_S)
        finally:
            scene.kafka.resume()
    await scene.all_work_again()


async def died(scene: Scene) -> None:
    """SIGKILL of the only broker, and a new start on the same log."""

    async def dies() -> None:
        await asyncio.to_thread(scene.kafka.kill)

    await _started_again(scene, "the broker is killed", dies)


async def bounced(scene: Scene) -> None:
    """The only broker is ended in order, and started again."""

    async def ends() -> None:
        await asyncio.to_thread(scene.kafka.stop)

    await _started_again(scene, "the broker is bounced", ends)


async def filled(scene: Scene) -> None:
    """No file of the broker may grow any more, as if its disk were full: it gives up. Then there is
    room, and it is started again.
    """

    async def fills() -> None:
        pid = scene.kafka.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))
        await scene.flow(0.05, _FULL_S)
        await asyncio.to_thread(scene.kafka.kill)

    await _started_again(scene, "the broker's disk is full", fills)


async def one_died(scene: Scene) -> None:
    """SIGKILL of one of three nodes: the other two do its work; it comes back, and the next is
    killed.
    """
    for node in _some_nodes(scene):
        await scene.flow()
        async with scene.harm("a node is killed"):
            await asyncio.to_thread(node.kill)
        await scene.all_work()
        await scene.flow()
        node.start()
        await _whole(scene)


async def one_paused(scene: Scene) -> None:
    """One of three nodes stands still with its connections open; the others take its place, and it
    comes back as one that leads nothing any more.
    """
    for node in _some_nodes(scene):
        await scene.flow()
        async with scene.harm("a node is paused"):
            node.pause()
            try:
                await asyncio.sleep(_LONG_PAUSE_S if scene.long else _PAUSE_S)
                await scene.all_work()
            finally:
                node.resume()
        await _whole(scene)


def _some_nodes(scene: Scene) -> list[KafkaServer]:
    """Whom partitions, groups and transactions are led by, in turn."""
    return scene.rng.sample(scene.cluster.nodes, len(scene.cluster.nodes) if scene.long else 2)


async def _whole(scene: Scene) -> None:
    await asyncio.to_thread(scene.cluster.wait_until_whole)
    await scene.all_work()


async def _started_again(scene: Scene, what: str, end: Callable[[], Awaitable[None]]) -> None:
    for _ in range(3 if scene.long else 1):
        await scene.flow()
        async with scene.harm(what):
            await end()
            # Not in another thread: the server is bound to the one that starts it, and ends with
            # that.
            scene.kafka.start()
        await scene.all_work_again()


async def delayed(scene: Scene) -> None:
    """Every answer of the broker comes 200 ms later."""
    scene.wire.delay_s = 0.1
    try:
        await _flows(scene)
    finally:
        scene.wire.delay_s = 0.0


async def throttled(scene: Scene) -> None:
    """A line of 128 kB a second, for each connection."""
    scene.wire.bytes_per_s = 128_000.0
    try:
        await _flows(scene)
    finally:
        scene.wire.bytes_per_s = None


async def _flows(scene: Scene) -> None:
    for _ in range(10 if scene.long else 3):
        await scene.flow(0.03, _SLOW_S / 3)


async def swallowed(scene: Scene) -> None:
    """Nothing comes through for longer than sessions last, and nobody is told: a black hole."""
    await scene.flow()
    async with scene.harm("the network swallows everything"):
        scene.wire.passes.clear()
        await asyncio.sleep(_LONG_PAUSE_S if scene.long else _HOLE_S)
        scene.wire.passes.set()
    await scene.all_work_again()


async def reset(scene: Scene) -> None:
    """All connections are broken off at once, several times, in the middle of whatever is said."""
    await _hit(scene, scene.wire.reset)


async def half_closed(scene: Scene) -> None:
    """One direction of every connection ends, several times."""
    await _hit(scene, scene.wire.half_close)


async def _hit(scene: Scene, how: Callable[[], None]) -> None:
    for _ in range(5 * _RESETS if scene.long else _RESETS):
        await scene.flow(0.03, scene.rng.uniform(0.2, 2.0))
        how()
    await scene.all_work()
