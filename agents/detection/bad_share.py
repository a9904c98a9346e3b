"""A tenant most of whose records are bad: somebody must be told, since nothing of theirs is watched (§6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

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

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def take(self, bad: list[tuple[int, bytes | None, str]], offsets: Int64s, tenants: pl.Series) -> list[BadRecords]:
        """Counts a block's bad records (offset, key, reason), in the order of offsets, and its good ones; offsets and tenants have shape (n,)."""
        if not bad and not self._counts:
            return []
        verdicts: list[BadRecords] = []
        counted: dict[str, int] = {}
        places = {tenant: self._places(tenant, offsets, tenants) for tenant in self._counts}
        for offset, key, reason in bad:
            tenant = self._watched(tenant_of(key))
            if tenant not in places:
                places[tenant] = self._places(tenant, offsets, tenants)
                # Good records before a tenant's first bad one are not counted, wherever its block begins.
                counted[tenant] = int(np.searchsorted(places[tenant], offset))
            before = int(np.searchsorted(places[tenant], offset))
            good, wrong = self._counts.get(tenant, (0, 0))
            good, wrong = good + before - counted.get(tenant, 0), wrong + 1
            counted[tenant] = before
            if good + wrong > REMEMBERED:
                good, wrong = good * REMEMBERED // (good + wrong), wrong * REMEMBERED // (good + wrong)
            if good + wrong >= LEAST and wrong > good:
                verdicts.append(BadRecords(offset, tenant, wrong, good, reason))
                good = wrong = 0
            self._counts[tenant] = (good, wrong)
        for tenant, (good, wrong) in list(self._counts.items()):
            good += len(places[tenant]) - counted.get(tenant, 0)
            if good > wrong * REMEMBERED:
                del self._counts[tenant]
            else:
                self._counts[tenant] = (good, wrong)
        return verdicts

    def to_bytes(self) -> bytes:
        """The counts, for the lane's own row."""
        return orjson.dumps(self._counts)

    def restore(self, stored: bytes) -> None:
        """Takes what `to_bytes` gave."""
        counts: Mapping[str, list[int]] = orjson.loads(stored)
        self._counts = {tenant: (good, wrong) for tenant, (good, wrong) in counts.items()}

    def _watched(self, tenant: str) -> str:
        return tenant if tenant in self._counts or len(self._counts) < MOST_TENANTS else OTHERS

    def _places(self, tenant: str, offsets: Int64s, tenants: pl.Series) -> Int64s:
        """Offsets of the tenant's good records."""
        return np.asarray(offsets[(tenants == tenant).to_numpy()])
