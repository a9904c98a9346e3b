"""A pace that is kept before a receiver has to ask for it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final


class Pace:
    """At most `calls` calls in any `per_s` seconds; a call beyond that waits for its turn. Those
    that wait begin in the order in which they came.
    """

    def __init__(
        self,
        calls: int,
        per_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_s: Final = per_s
        self._monotonic, self._sleep = monotonic, sleep
        self._begun: deque[float] = deque(maxlen=calls)
        self._turn: Final = asyncio.Lock()

    async def turn(self) -> None:
        """Returns when a call may begin."""
        async with self._turn:
            if len(self._begun) == self._begun.maxlen:
                wait = self._begun[0] + self._per_s - self._monotonic()
                if wait > 0:
                    await self._sleep(wait)
            self._begun.append(self._monotonic())
