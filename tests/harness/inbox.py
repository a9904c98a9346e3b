"""A receiver of webhooks for tests that are not asynchronous: it runs beside them, in a thread of
its own.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.webhook_server import BadReceiver, Behaviour, answers, receiving


class Inbox:
    """What came, and how the next requests are answered: those named once, then 200."""

    def __init__(self, receiver: BadReceiver) -> None:
        self._receiver = receiver

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._receiver.url

    def __len__(self) -> int:
        return len(self._receiver.received)

    def next(self, *behaviours: Behaviour) -> None:
        """How the next requests are answered."""
        answered = [answers(200)] * len(self)
        self._receiver.behaviours = (*answered, *behaviours, answers(200))

    def posts(self, since: int = 0) -> list[tuple[dict[str, str], bytes]]:
        """Headers and body of every request from the one of that number on."""
        return [(post.headers, post.body) for post in self._receiver.received[since:]]


@contextmanager
def inbox() -> Iterator[Inbox]:
    """The receiver while it runs."""
    started, ready, loop = threading.Event(), list[Inbox](), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with receiving(answers(200)) as receiver:
            ready.append(Inbox(receiver))
            started.set()
            await stop.wait()

    def serve() -> None:
        try:
            loop.run_until_complete(run())
        finally:
            loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert started.wait(30)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
