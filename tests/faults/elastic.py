"""One Elasticsearch for many faults, started by the first that needs it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.harness.servers.elasticsearch import ElasticServer

T = TypeVar("T")


class Elastic:
    """Starts, kills and ends it in a thread of its own: a server ends with the thread that started
    it, and starting takes long.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="elasticsearch")
        self._server = ElasticServer()
        self._runs = False

    async def url(self) -> str:
        """Where it answers. Raises CannotStartElasticsearch."""
        if not self._runs:
            await self.start()
        return self._server.url

    async def start(self) -> None:
        """On the data that it left, if there are some. Raises CannotStartElasticsearch."""
        await self._do(self._server.start)
        self._runs = True

    async def kill(self) -> None:
        """As a machine that loses power."""
        self._runs = False
        await self._do(self._server.kill)

    def pause(self) -> None:
        """At once it does nothing any more, and its connections stay open."""
        self._server.pause()

    def resume(self) -> None:
        """It goes on."""
        self._server.resume()

    def close(self) -> None:
        """Ends it, and forgets its data."""
        self._thread.submit(self._server.close).result()
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
