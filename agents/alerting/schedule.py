"""A schedule of keys by time, whose cost grows with its changes, not with its size."""

import heapq
from typing import Final, Generic, TypeVar

K = TypeVar("K", bytes, str)


class Schedule(Generic[K]):
    """At most one time (µs) for each key.

    >>> schedule: Schedule[str] = Schedule()
    >>> schedule.put("b", 5); schedule.put("a", 3); schedule.put("a", 9)
    >>> schedule.next(), schedule.pop_due(4), schedule.pop_due(5), schedule.next()
    (5, [], ['b'], 9)
    """

    def __init__(self) -> None:
        self._times: Final[dict[K, int]] = {}
        self._heap: list[tuple[int, K]] = []

    def put(self, key: K, at: int | None) -> None:
        """The key is due at this time and no other; None means at none."""
        if self._times.get(key) == at:
            return
        if at is None:
            del self._times[key]
        else:
            self._times[key] = at
            heapq.heappush(self._heap, (at, key))
        if len(self._heap) > 2 * len(self._times) + 16:
            # Outdated entries are dropped when they outnumber the others: amortised constant cost.
            self._heap = [(time, key) for key, time in self._times.items()]
            heapq.heapify(self._heap)

    def next(self) -> int | None:
        """The earliest time; None without any."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: int) -> list[K]:
        """Remove and return the keys whose time has come, sorted."""
        due = []
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[1]
            del self._times[key]
            due.append(key)
        return sorted(due)
