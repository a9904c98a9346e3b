"""What receivers of messages do."""

import asyncio
from typing import Final

from aiohttp import web

from benchmarks.exactness_run.inbox import Mood
from tests.faults.scene import Scene

_LASTS_S: Final = 8.0
_LONG_LASTS_S: Final = 60.0
_SLOWLY_S: Final = 4.0


async def slow(scene: Scene) -> None:
    """Each answer takes seconds."""

    async def answer(request: web.Request) -> web.Response | None:
        await asyncio.sleep(_SLOWLY_S)
        return None

    await _behaves(scene, answer)


async def breaking_off(scene: Scene) -> None:
    """Connections are broken off, before a message is taken or just after."""
    rng = scene.rng

    async def answer(request: web.Request) -> web.Response | None:
        if request.transport is not None and rng.random() < 0.7:
            request.transport.abort()
            await asyncio.sleep(0)
            return web.Response(status=500) if rng.random() < 0.5 else None
        return None

    await _behaves(scene, answer)


async def redirecting(scene: Scene) -> None:
    """Somebody else is named, who must not be told; it is temporary, so that nothing is given up."""

    async def answer(request: web.Request) -> web.Response | None:
        return web.Response(status=503, headers={"Location": "http://127.0.0.1:1/", "Retry-After": "1"})

    await _behaves(scene, answer)


async def _behaves(scene: Scene, answer: Mood) -> None:
    scene.inbox.mood = answer
    try:
        await scene.flow(0.1, _LONG_LASTS_S if scene.long else _LASTS_S)
    finally:
        scene.inbox.mood = None
