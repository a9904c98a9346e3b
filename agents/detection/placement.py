"""Applications whose events come to a lane that is not theirs: found when they are new, told once, over when no more come.

All events of an application belong on one lane, that of the partition which murmur2 gives the key `tenant/application`. A producer that
sends no key, another key, or places keys otherwise makes several lanes count parts of the application, each for itself.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.partitioners import Partitioner, murmur2_partitions, partitioners_of
from streams.subjects import OVERFLOW

Int64s = npt.NDArray[np.int64]
Name = tuple[str, str]
"""Tenant and application."""

MOST_APPLICATIONS: Final = 64
"""Misplaced applications of a lane that are looked at one by one, the first ones; a key is looked up for each. Any further are only counted."""

QUIET_BUCKETS: Final = 60
"""Buckets without an event of the application in this lane, after which it is not misplaced any more."""


class Key(StrEnum):
    """What the first misplaced record of an application has as its key."""

    NONE = "none"
    OWN = "tenant/application"
    OTHER = "another"
    UNSEEN = "unknown"
    """The record was read by a program that did not look."""


@dataclass(slots=True)
class Misplaced:
    """One application, as long as its events come to a lane that is not its own."""

    tenant: str
    application: str
    key: str
    """Of its first record here: a `Key`."""
    partitioners: str
    """Those that put the application's own key here, joined by commas."""
    last_bucket: int
    """The newest closed bucket that had an event of it; that of its first event until then."""
    events: int = 0
    """In closed buckets."""
    told: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """An application is told of, or is well again."""

    tenant: str
    application: str
    begins: bool
    events: int
    """In this lane, since it was found."""
    own_lane: int
    key: Key
    partitioner: Partitioner | None
    """That the tenant's producers seem to use, by all its applications whose key is right; None when none is known that fits."""


class Placement:
    """The misplaced applications of one lane. A partition that the number of partitions does not reach checks nothing."""

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition, self._partitions = partition, partitions
        self._found: dict[Name, Misplaced] = {}

    def __len__(self) -> int:
        return len(self._found)

    def told_tenants(self) -> Iterator[str]:
        """Tenants of the applications that were told of."""
        return (one.tenant for one in self._found.values() if one.told)

    def strangers(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """Which of these new subjects (tenant, application, ...) are of applications that do not belong here, each application once."""
        if not 0 <= self._partition < self._partitions:
            return []
        first: dict[Name, int] = {}
        for index, (tenant, application, *_) in enumerate(names):
            if application != OVERFLOW:
                first.setdefault((tenant, application), index)
        places = murmur2_partitions([own_key(name) for name in first], self._partitions)
        return [index for index, place in zip(first.values(), places.tolist(), strict=True) if place != self._partition]

    def room(self, names: Sequence[Name]) -> list[int]:
        """Which of these strangers are to be looked at, in the order in which they came: as many as there is room for."""
        new = [index for index, name in enumerate(names) if name not in self._found]
        return new[: max(MOST_APPLICATIONS - len(self._found), 0)]

    def note(self, name: Name, key: bytes | None, bucket: int) -> None:
        """A stranger's first record here has this key; its event is of that bucket."""
        own = own_key(name)
        kind = Key.NONE if key is None else Key.OWN if key == own else Key.OTHER
        fitting = partitioners_of(own, self._partition, self._partitions) if kind is Key.OWN else frozenset()
        self._found[name] = Misplaced(*name, kind, ",".join(sorted(fitting)), bucket)

    def note_unseen(self, name: Name, bucket: int) -> None:
        """A stranger whose first record nobody looked at."""
        self._found[name] = Misplaced(*name, Key.UNSEEN, "", bucket)

    def closed(
        self, bucket: int, row_of: Callable[[Name], int | None], applications: Int64s, requests: Int64s
    ) -> tuple[list[Verdict], int]:
        """A bucket is closed: `applications` and `requests` of its series, shape (n,). Verdicts in the order of names, and misplaced events."""
        verdicts, counted = [], 0
        for name in sorted(self._found):
            one, row = self._found[name], row_of(name)
            count = 0 if row is None else int(requests[applications == row].sum())
            counted += count
            if count:
                one.events += count
                one.last_bucket = max(one.last_bucket, bucket)
                if not one.told:
                    one.told = True
                    verdicts.append(self._verdict(one, begins=True))
            elif bucket - one.last_bucket >= QUIET_BUCKETS:
                if one.told:
                    verdicts.append(self._verdict(one, begins=False))
                del self._found[name]
        return verdicts, counted

    def _verdict(self, one: Misplaced, *, begins: bool) -> Verdict:
        own = int(murmur2_partitions([own_key((one.tenant, one.application))], self._partitions)[0])
        fits = self._partitioner(one.tenant) if one.key == Key.OWN else None
        return Verdict(one.tenant, one.application, begins, one.events, own, Key(one.key), fits)

    def _partitioner(self, tenant: str) -> Partitioner | None:
        """The one that puts all of a tenant's applications with the right key here; of several, that which explains most in the lane."""
        right = [one for one in self._found.values() if one.key == Key.OWN]
        own = Counter(name for one in right if one.tenant == tenant for name in one.partitioners.split(","))
        whole = Counter(name for one in right for name in one.partitioners.split(","))
        count = sum(one.tenant == tenant for one in right)
        fitting = [each for each in Partitioner if own[each] == count]
        return max(fitting, key=lambda each: whole[each], default=None)

    def state(self) -> list[tuple[object, ...]]:
        """For the lane's own row."""
        return [astuple(one) for one in self._found.values()]

    def restore(self, stored: Sequence[Sequence[object]]) -> None:
        """Takes what `state` gave."""
        for row in stored:
            one = Misplaced(*row)  # type: ignore[arg-type]  # as `state` wrote it
            self._found[one.tenant, one.application] = one


def own_key(name: Name) -> bytes:
    """The key of an application's records.

    >>> own_key(("acme", "shop"))
    b'acme/shop'
    """
    return f"{name[0]}/{name[1]}".encode()
