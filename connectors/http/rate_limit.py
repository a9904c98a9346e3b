"""Rate limits that are kept before a receiver has to answer 429."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final


class Pace:
    """A rate limit: at most `calls` calls in any `per_s` seconds; a call beyond that waits.

    Waiting calls begin in the order in which they came.
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
        # The lock keeps the order: one call at a time waits for its slot, the others for the lock.
        async with self._turn:
            if len(self._begun) == self._begun.maxlen:
                wait = self._begun[0] + self._per_s - self._monotonic()
                if wait > 0:
                    await self._sleep(wait)
            self._begun.append(self._monotonic())


class Paces:
    """The paces of one worker, for receivers that a service counts together."""

    def __init__(self) -> None:
        self._paces: Final[dict[Hashable, Pace]] = {}

    def shared(self, key: Hashable, calls: int, per_s: float) -> Pace:
        """The pace under this key, made with the first call."""
        return self._paces.setdefault(key, Pace(calls, per_s))
