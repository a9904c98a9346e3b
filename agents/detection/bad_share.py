"""A tenant most of whose records are bad: somebody must be told, since nothing of theirs is watched (§6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from schemas.events import Events, UInt64s, hashes_of

Int64s = npt.NDArray[np.int64]

REMEMBERED: Final = 10_000
"""Records of a tenant that count; older ones fade."""

LEAST: Final = 1_000
"""Records of a tenant before a share is a verdict."""

MOST_TENANTS: Final = 64
"""Tenants with bad records that are watched in a lane at a time; the key of a bad record could name any number."""

OTHERS: Final = "(others)"


@dataclass(frozen=True, slots=True)
class BadRecords:
    """A verdict: at the record of this offset more than half of the tenant's last records were bad."""

    offset: int
    tenant: str
    bad: int
    good: int
    reason: str
    """Of the last one."""


def tenant_of(key: bytes | None) -> str:
    """The tenant in a record's key `tenant/application`; what a bad record says of itself inside cannot be trusted to be readable.

    >>> tenant_of(b"acme/shop"), tenant_of(None)
    ('acme', '(unknown)')
    """
    tenant = (key or b"").partition(b"/")[0].decode(errors="replace")[:256]
    return tenant or "(unknown)"


class BadShare:
    """Good and bad records per tenant, exact in the order of records; a tenant without bad ones costs nothing.

    When the last `REMEMBERED` are passed, both counts are scaled back, so the oldest fade. After a verdict a tenant starts anew.
    """

    def __init__(self, seed: int) -> None:
        """`seed` is that of the lane's names (`streams.subjects`)."""
        self._seed = seed
        self._counts: dict[str, tuple[int, int]] = {}

    def take(self, bad: list[tuple[int, bytes | None, str]], offsets: Int64s, events: Events) -> list[BadRecords]:
        """Counts a block's bad records (offset, key, reason), in the order of offsets, and its good ones; offsets have shape (n,)."""
        if not bad and not self._counts:
            return []
        verdicts: list[BadRecords] = []
        place = _Places(offsets, events.hashes(("tenant",), self._seed), self._seed)
        good = place.of([*self._counts])
        counted = dict.fromkeys(good, 0)
        for offset, key, reason in bad:
            tenant = tenant_of(key)
            self._pass([tenant], good, counted, offset)
            if tenant not in self._counts and len(self._counts) >= MOST_TENANTS:
                # Whoever is well again makes room here, and not where a block happens to end.
                self._pass([*self._counts], good, counted, offset)
                tenant = tenant if len(self._counts) < MOST_TENANTS else OTHERS
            if tenant not in self._counts:
                good |= place.of([tenant])
                # Good records before a tenant's first bad one are not counted, wherever its block begins.
                counted[tenant] = int(np.searchsorted(good[tenant], offset))
                self._counts[tenant] = (0, 0)
            self._count_bad(tenant, offset, reason, verdicts)
        self._pass([*self._counts], good, counted, None)
        return verdicts

    def _pass(self, tenants: list[str], good: dict[str, Int64s], counted: dict[str, int], offset: int | None) -> None:
        """Counts the good records of tenants before an offset (None: all of the block), and forgets those that are well again."""
        for tenant in tenants:
            if tenant in self._counts:
                right, wrong = self._counts[tenant]
                before = len(good[tenant]) if offset is None else int(np.searchsorted(good[tenant], offset))
                right += before - counted[tenant]
                counted[tenant] = before
                self._counts[tenant] = (right, wrong)
                if right > wrong * REMEMBERED:
                    del self._counts[tenant]

    def _count_bad(self, tenant: str, offset: int, reason: str, verdicts: list[BadRecords]) -> None:
        good, wrong = self._counts[tenant]
        wrong += 1
        if good + wrong > REMEMBERED:
            good, wrong = good * REMEMBERED // (good + wrong), wrong * REMEMBERED // (good + wrong)
        if good + wrong >= LEAST and wrong > good:
            verdicts.append(BadRecords(offset, tenant, wrong, good, reason))
            good = wrong = 0
        self._counts[tenant] = (good, wrong)

    def to_bytes(self) -> bytes:
        """The counts, for the lane's own row."""
        return orjson.dumps(self._counts)

    def restore(self, stored: bytes) -> None:
        """Takes what `to_bytes` gave."""
        counts: Mapping[str, list[int]] = orjson.loads(stored)
        self._counts = {tenant: (good, wrong) for tenant, (good, wrong) in counts.items()}


class _Places:
    """Where in a block the good records of tenants are."""

    def __init__(self, offsets: Int64s, hashes: tuple[UInt64s, UInt64s], seed: int) -> None:
        self._offsets, self._hashes, self._seed = offsets, hashes, seed

    def of(self, tenants: Sequence[str]) -> dict[str, Int64s]:
        """The offsets of each one's records."""
        if not tenants:
            return {}
        pairs = zip(*hashes_of([(tenant,) for tenant in tenants], self._seed), strict=True)
        first, second = self._hashes
        return {
            tenant: np.asarray(self._offsets[(first == one) & (second == other)])
            for tenant, (one, other) in zip(tenants, pairs, strict=True)
        }
