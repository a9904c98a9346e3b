"""The rate limit of pages: how many each receiver got within the last hour."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Self

import orjson

from streams.state.chunks import seal, unseal
from streams.state.rows import RowCodec, Rows

HOUR_US: Final = 3_600_000_000

_VERSION: Final = 1


@dataclass(slots=True)
class _Pages:
    """What one receiver got from one lane. Times wall clock, µs."""

    at: list[int] = field(default_factory=list)
    """Times of the pages within the hour before the last one."""
    summed: dict[str, int] = field(default_factory=dict)
    """By tenant, from when on its last summary beyond the limit may be sent."""

    def to_row(self) -> bytes:
        return seal(_VERSION, orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS))

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        return cls(**orjson.loads(unseal(value, _VERSION, "pages")[1]))


_PAGES: Final[RowCodec[str, _Pages]] = RowCodec(
    b"paged/", str.encode, bytes.decode, _Pages.to_row, _Pages.from_row
)
is_row: Final = _PAGES.is_row


class PageCount:
    """Pages of all lanes of one worker, since a flood comes through many lanes to one person.

    Other workers' pages are not known here: with several workers, each has the limit to itself.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Mapping[str, _Pages]] = {}

    def count_lane(self, lane: int, pages: Mapping[str, _Pages]) -> None:
        """Count a lane's pages by receiver, now and as they change, instead of those of the lane's
        last owner here.
        """
        # Replaced, not extended: a lane that comes back restores its own pages.
        self._lanes[lane] = pages

    def within_hour(self, receiver: str, now: int) -> int:
        """How many there were in the hour before `now`."""
        since = now - HOUR_US
        known = (lane[receiver] for lane in self._lanes.values() if receiver in lane)
        return sum(at > since for pages in known for at in pages.at)


class Paging:
    """One lane's pages, and its last summary for each receiver over the limit. Times wall clock,
    µs.
    """

    def __init__(self, lane: int, count: PageCount | None = None) -> None:
        self._count: Final = count or PageCount()
        self._pages: Final = Rows(_PAGES)
        self._count.count_lane(lane, self._pages.view())

    def paged(self, receiver: str, now: int) -> None:
        """Note that a page was decided."""
        pages = self._pages.setdefault(receiver, _Pages())
        # Only the last hour counts: the state keeps no more.
        pages.at = [*(at for at in pages.at if at > now - HOUR_US), now]

    def is_full(self, receiver: str, cap: int | None, now: int) -> bool:
        """Whether another page would be more than `cap` within an hour."""
        return cap is not None and self._count.within_hour(receiver, now) >= cap

    def summary_from(self, receiver: str, tenant: str, now: int) -> int:
        """Earliest time of the next summary beyond the limit: an hour after the previous one, now
        without one.
        """
        pages = self._pages.view().get(receiver)
        return max(now, pages.summed.get(tenant, 0) + HOUR_US) if pages else now

    def summed(self, receiver: str, tenant: str, at: int) -> None:
        """Note that a summary beyond the limit was begun, to be sent from `at` on."""
        summed = self._pages.setdefault(receiver, _Pages()).summed
        for old in [name for name, when in summed.items() if when <= at - HOUR_US]:
            del summed[old]
        summed[tenant] = at

    def receivers(self) -> frozenset[str]:
        """Names of the receivers whose pages are remembered."""
        return frozenset(self._pages)

    def drop(self, receivers: frozenset[str]) -> None:
        """Forget these receivers' pages."""
        for receiver in receivers:
            self._pages.pop(receiver, None)

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore its rows of these, as `changes` returned them. Raises NewerState."""
        self._pages.restore(rows)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call."""
        return self._pages.changes()
