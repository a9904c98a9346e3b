"""The rate limit of pages: how many each receiver got within the last hour."""

from collections.abc import Iterable
from typing import Final

import orjson

from streams.state.chunks import seal, unseal

HOUR_US: Final = 3_600_000_000

_VERSION: Final = 1
_KEY: Final = b"paged/"


class PageCount:
    """Pages of all lanes of one worker, since a flood comes through many lanes to one person.

    Other workers' pages are not known here: with several workers, each has the limit to itself.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, dict[str, list[int]]] = {}

    def of_lane(self, lane: int) -> dict[str, list[int]]:
        """A lane's own pages by receiver, times in µs, to be kept current by the lane; those of the
        lane's last owner here are forgotten.
        """
        mine: dict[str, list[int]] = {}
        # Replaced, not extended: a lane that comes back restores its own pages.
        self._lanes[lane] = mine
        return mine

    def within_hour(self, receiver: str, now: int) -> int:
        """How many there were in the hour before `now`."""
        since = now - HOUR_US
        return sum(at > since for lane in self._lanes.values() for at in lane.get(receiver, ()))


class Paging:
    """One lane's pages, and its last summary for each receiver over the limit. Times wall clock,
    µs.
    """

    def __init__(self, lane: int, count: PageCount | None = None) -> None:
        self._count: Final = count or PageCount()
        self._mine: Final = self._count.of_lane(lane)
        self._summed: dict[str, dict[str, int]] = {}
        self._touched: set[str] = set()

    def paged(self, receiver: str, now: int) -> None:
        """Note that a page was decided."""
        times = self._mine.setdefault(receiver, [])
        # Only the last hour counts: the state keeps no more.
        times[:] = [at for at in times if at > now - HOUR_US]
        times.append(now)
        self._touched.add(receiver)

    def is_full(self, receiver: str, cap: int | None, now: int) -> bool:
        """Whether another page would be more than `cap` within an hour."""
        return cap is not None and self._count.within_hour(receiver, now) >= cap

    def summary_from(self, receiver: str, tenant: str, now: int) -> int:
        """Earliest time of the next summary beyond the limit: an hour after the previous one, now
        without one.
        """
        return max(now, self._summed.get(receiver, {}).get(tenant, 0) + HOUR_US)

    def summed(self, receiver: str, tenant: str, at: int) -> None:
        """Note that a summary beyond the limit was begun, to be sent from `at` on."""
        summed = self._summed.setdefault(receiver, {})
        for old in [name for name, when in summed.items() if when <= at - HOUR_US]:
            del summed[old]
        summed[tenant] = at
        self._touched.add(receiver)

    def receivers(self) -> frozenset[str]:
        """Names of the receivers whose pages are remembered."""
        return frozenset(self._mine) | frozenset(self._summed)

    def drop(self, receivers: frozenset[str]) -> None:
        """Forget these receivers' pages."""
        for receiver in receivers & self.receivers():
            self._mine.pop(receiver, None)
            self._summed.pop(receiver, None)
            self._touched.add(receiver)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the rows that `changed` gave. Raises NewerState."""
        for key, value in rows:
            receiver = key.removeprefix(_KEY).decode()
            fields = orjson.loads(unseal(value, _VERSION, "pages")[1])
            self._mine[receiver], self._summed[receiver] = fields["at"], fields["summed"]

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """The rows that changed since the last call."""
        rows: list[tuple[bytes, bytes | None]] = [
            (_KEY + name.encode(), self._row(name)) for name in sorted(self._touched)
        ]
        self._touched.clear()
        return rows

    def _row(self, receiver: str) -> bytes | None:
        if receiver not in self._mine and receiver not in self._summed:
            return None
        fields = {"at": self._mine.get(receiver, []), "summed": self._summed.get(receiver, {})}
        return seal(_VERSION, orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))


def is_row(key: bytes) -> bool:
    """Whether the row under this key belongs to Paging."""
    return key.startswith(_KEY)
