"""Applications whose events come to a lane that is not theirs: reported once, over when none came
for a while, reported again when they come again.

All events of an application belong on one lane, that of the partition which murmur2 gives the key
`tenant/application`. If a producer sends no key or another key, or partitions differently, several
lanes count parts of the application, each for itself.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.records.partitioners import Partitioner, murmur2_partitions, partitioners_of
from streams.state.subjects import OVERFLOW, Subjects

Int64s = npt.NDArray[np.int64]
Name = tuple[str, str]
"""Tenant and application."""

MAX_APPLICATIONS: Final = 64
"""Misplaced applications of a lane that are reported, the first ones; a key is looked up for each.
The events of any further ones are only counted, until one that is over makes room.
"""

QUIET_BUCKETS: Final = 60
"""Buckets without an event of the application in this lane, after which it is reported to be over.
A night may be as quiet: then it is reported again in the morning.
"""

_UNKNOWN, _OWN, _STRANGER = range(3)


class Key(StrEnum):
    """What the first misplaced record of an application has as its key."""

    NONE = "none"
    OWN = "tenant/application"
    OTHER = "another"
    UNSEEN = "unknown"
    """The record was not looked at: there was no room, or an earlier release read it."""


@dataclass(slots=True)
class Misplaced:
    """One application whose events come to a lane that is not its own, until it is forgotten or
    makes room for another.
    """

    tenant: str
    application: str
    key: str
    """Of its first record here: a `Key`."""
    partitioners: str
    """Those that map the application's own key to this lane, joined by commas."""
    last_bucket: int
    """The newest closed bucket that had an event of it; that of its first event until then."""
    events: int = 0
    """In closed buckets."""
    reported: bool = False
    """Whether it is reported, and not over."""

    @property
    def is_over(self) -> bool:
        """Whether its end was reported."""
        return self.events > 0 and not self.reported


@dataclass(frozen=True, slots=True)
class Verdict:
    """An application is misplaced, or no longer."""

    tenant: str
    application: str
    begins: bool
    events: int
    """In this lane, since it was found."""
    own_lane: int
    key: Key
    partitioner: Partitioner | None
    """The one that the tenant's producers seem to use, by all its applications whose key is right;
    None if no known one fits.
    """


class Placement:
    """The misplaced applications of one lane. A partition that the number of partitions does not
    reach checks nothing.
    """

    def __init__(self, partition: int, partitions: int) -> None:
        self._partition, self._partitions = partition, partitions
        self._found: dict[Name, Misplaced] = {}
        self._kinds = np.zeros(64, np.uint8)
        """By row of application, whether it belongs here: a cache of what follows from its name."""

    def __len__(self) -> int:
        return len(self._found)

    def reported_tenants(self) -> Iterator[str]:
        """Tenants of the applications that are reported."""
        return (one.tenant for one in self._found.values() if one.reported)

    def strangers(self, names: Sequence[tuple[str, ...]]) -> list[int]:
        """Which of these new subjects (tenant, application, ...) are of applications that do not
        belong here, each application once.
        """
        if not 0 <= self._partition < self._partitions:
            return []
        first: dict[Name, int] = {}
        for index, (tenant, application, *_) in enumerate(names):
            if application != OVERFLOW:
                first.setdefault((tenant, application), index)
        lanes = murmur2_partitions([own_key(name) for name in first], self._partitions)
        return [
            index
            for index, lane in zip(first.values(), lanes.tolist(), strict=True)
            if lane != self._partition
        ]

    def room(self, names: Sequence[Name]) -> list[int]:
        """Indices of the strangers to look at, in the order in which they came, as far as there is
        room.
        """
        new = [index for index, name in enumerate(names) if name not in self._found]
        return new[: self._make_room(len(new))]

    def _make_room(self, wanted: int) -> int:
        """Returns how many may be added. Those that are over go, the longest unseen first."""
        over = sorted((one.last_bucket, name) for name, one in self._found.items() if one.is_over)
        for _, name in over[: max(wanted + len(self._found) - MAX_APPLICATIONS, 0)]:
            del self._found[name]
        return max(MAX_APPLICATIONS - len(self._found), 0)

    def note(self, name: Name, key: bytes | None, bucket: int) -> None:
        """Note the key of a stranger's first record here, and the bucket of its event."""
        own = own_key(name)
        kind = Key.NONE if key is None else Key.OWN if key == own else Key.OTHER
        fitting = (
            partitioners_of(own, self._partition, self._partitions)
            if kind is Key.OWN
            else frozenset()
        )
        self._found[name] = Misplaced(*name, kind, ",".join(sorted(fitting)), bucket)

    def note_unseen(self, name: Name, bucket: int) -> None:
        """Note a stranger whose first record was not looked at."""
        self._found[name] = Misplaced(*name, Key.UNSEEN, "", bucket)

    def closed(
        self, bucket: int, subjects: Subjects, applications: Int64s, requests: Int64s
    ) -> tuple[list[Verdict], int]:
        """Judge a closed bucket, given rows of `subjects` (applications) and requests of its
        series, shape (n,). Returns verdicts in the order of names, and the number of misplaced
        events, also those of applications that are not reported.
        """
        counts = self._misplaced(subjects, applications, requests)
        if not counts and not self._found:
            return [], 0
        verdicts: list[Verdict] = []
        for name in sorted(self._found):
            row = subjects.find(name)
            verdicts += self._pass(name, bucket, 0 if row is None else counts.get(row, 0))
            if (
                row is None
                and not self._found[name].reported
                and bucket - self._found[name].last_bucket >= QUIET_BUCKETS
            ):
                # If it comes again, it is a new one, whose key is looked up.
                del self._found[name]
        for name, row in self._newcomers(subjects, counts):
            self.note_unseen(name, bucket)
            verdicts += self._pass(name, bucket, counts[row])
        verdicts.sort(key=lambda verdict: (verdict.tenant, verdict.application))
        return verdicts, sum(counts.values())

    def forget_rows(self) -> None:
        """Forget what is known by row: rows of applications may be reused from now on."""
        self._kinds[:] = _UNKNOWN

    def _misplaced(
        self, subjects: Subjects, applications: Int64s, requests: Int64s
    ) -> dict[int, int]:
        """Events of the applications that do not belong here, by row."""
        if not 0 <= self._partition < self._partitions:
            return {}
        if len(self._kinds) < subjects.capacity:
            self._kinds = np.concatenate([self._kinds, np.zeros(subjects.capacity, np.uint8)])
        kinds = self._kinds[applications]
        new = np.unique(applications[kinds == _UNKNOWN])
        if len(new):
            self._kinds[new] = _OWN
            self._kinds[new[self.strangers([subjects.name(row) for row in new.tolist()])]] = (
                _STRANGER
            )
            kinds = self._kinds[applications]
        at = np.flatnonzero((kinds == _STRANGER) & (requests > 0))
        rows, codes = np.unique(applications[at], return_inverse=True)
        counts = np.zeros(len(rows), np.int64)
        np.add.at(counts, codes, requests[at])
        return dict(zip(rows.tolist(), counts.tolist(), strict=True))

    def _pass(self, name: Name, bucket: int, count: int) -> Iterator[Verdict]:
        """Count the events of an application in a closed bucket."""
        one = self._found[name]
        if count:
            one.events += count
            one.last_bucket = max(one.last_bucket, bucket)
        if one.reported != bool(count) and (count or bucket - one.last_bucket >= QUIET_BUCKETS):
            one.reported = not one.reported
            yield self._verdict(one, begins=one.reported)

    def _newcomers(self, subjects: Subjects, counts: Mapping[int, int]) -> list[tuple[Name, int]]:
        """Applications that had events and were not found so far, with their rows, as far as there
        is room. Their keys are not known.
        """
        if sum(not one.is_over for one in self._found.values()) >= MAX_APPLICATIONS:
            return []
        names = [(subjects.name(row)[:2], row) for row in counts]
        new = sorted((name, row) for name, row in names if name not in self._found)
        return new[: self._make_room(len(new))]  # type: ignore[return-value]  # a name of an application has two parts

    def _verdict(self, one: Misplaced, *, begins: bool) -> Verdict:
        own = int(murmur2_partitions([own_key((one.tenant, one.application))], self._partitions)[0])
        fits = self._partitioner(one.tenant) if one.key == Key.OWN else None
        return Verdict(one.tenant, one.application, begins, one.events, own, Key(one.key), fits)

    def _partitioner(self, tenant: str) -> Partitioner | None:
        """The partitioner that maps all of a tenant's applications with the right key here; of
        several, the one that explains most in the lane.
        """
        right = [one for one in self._found.values() if one.key == Key.OWN]
        own = Counter(
            name for one in right if one.tenant == tenant for name in one.partitioners.split(",")
        )
        whole = Counter(name for one in right for name in one.partitioners.split(","))
        count = sum(one.tenant == tenant for one in right)
        fitting = [each for each in Partitioner if own[each] == count]
        return max(fitting, key=lambda each: whole[each], default=None)

    def state(self) -> list[tuple[object, ...]]:
        """For the lane's own row."""
        return [astuple(one) for one in self._found.values()]

    def restore(self, stored: Sequence[Sequence[object]]) -> None:
        """Restore what `state` returned."""
        for row in stored:
            one = Misplaced(*row)  # type: ignore[arg-type]  # as `state` wrote it
            self._found[one.tenant, one.application] = one


def own_key(name: Name) -> bytes:
    """The key of an application's records.

    >>> own_key(("acme", "shop"))
    b'acme/shop'
    """
    return f"{name[0]}/{name[1]}".encode()
