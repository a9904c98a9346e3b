"""Applications most of whose records do not count: refused, late, or ahead of the clock. They are
reported, since little of their traffic is watched.

For each application with such records a level is kept (a cumulative sum, Page, Biometrika 1954):
one up for a faulty record, one down for another, never below 0. At `records` it is reported; from
then on the level counts the other way, and at `records` again it is over. So twenty faulty records
of a tenant that sends nothing else are reported at the twentieth, half of a tenant's traffic after
some hundred records, and one in ten never. Old records need no forgetting: they are below the last
0.
What was reported and has no more records is reported to have no data, and given up later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Self, cast

import numpy as np
import numpy.typing as npt

from agents.detection.policy import TenantPolicy
from schemas.records.anomalies import SignalStatus
from schemas.telemetry.events import Events, Name, hashes_of

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_OF_TENANT: Final = 8
"""Applications of a tenant that are watched one by one; its others share a level, as do records
that do not say their application.
"""

MOST: Final = 256
"""Levels of a lane; the records of any further applications share the last one. A bad record could
name any number.
"""

SWEEP_OFFSETS: Final = 1 << 16
"""Offsets of the lane after which levels at 0 make room, and where there is none still, all untold
ones are halved.
"""

MOST_KINDS: Final = 8
"""Different kinds of fault that are counted apart."""

OTHER: Final = ""
"""Application of a tenant's level for all that have none of their own."""

CROWD: Final = ("(others)", OTHER)
"""Who shares the last level."""

_STRETCH: Final = 4_096
"""Records of one application that are judged at once; nothing else depends on it."""


@dataclass(frozen=True, slots=True)
class Faulty:
    """Faulty records of one block, in offset order; arrays have shape (n,)."""

    offsets: Int64s
    names: Sequence[Name]
    """Tenant and application, the last `OTHER` where it cannot be read; each pair once."""
    name_of: Int64s
    """Of each record, the index of its name."""
    kinds: Sequence[str]
    """What can be wrong; each once."""
    kind_of: Int64s
    """Of each record, the index of what is wrong with it."""
    append_times: Int64s
    """µs."""
    event_times: Int64s
    """µs; `NO_TIME` where the record does not say."""

    def between(self, start: int, end: int) -> Self:
        """Those at offsets from `start` to before `end`."""
        at = slice(*np.searchsorted(self.offsets, (start, end)).tolist())
        if at == slice(0, len(self.offsets)):
            return self
        return replace(
            self,
            offsets=self.offsets[at],
            name_of=self.name_of[at],
            kind_of=self.kind_of[at],
            append_times=self.append_times[at],
            event_times=self.event_times[at],
        )


NO_TIME: Final = -(2**62)
"""Event time of a record that cannot be read."""


class FaultyRecords:
    """Gathers faulty records one by one, in offset order."""

    def __init__(self) -> None:
        self._names: dict[Name, int] = {}
        self._kinds: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []

    def add(self, offset: int, name: Name, kind: str, append_time: int, event_time: int) -> None:
        """One more; see `Faulty`."""
        code = self._names.setdefault(name, len(self._names))
        what = self._kinds.setdefault(kind, len(self._kinds))
        self._rows.append(
            (offset, code, what, append_time, min(max(event_time, NO_TIME), -NO_TIME))
        )

    def all(self) -> Faulty:
        """Those that were added."""
        offsets, codes, kinds, append_times, event_times = (
            np.array(self._rows, np.int64).reshape(-1, 5).T
        )
        return Faulty(
            offsets, list(self._names), codes, list(self._kinds), kinds, append_times, event_times
        )


NO_FAULTY: Final = FaultyRecords().all()


@dataclass(slots=True)
class Level:
    """The cumulative sum of one application, and what was counted since it was 0."""

    told: bool = False
    level: int = 0
    faulty: int = 0
    """Of `total` records since the level last was 0."""
    total: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    least: int = 0
    most: int = 0
    """Of append time less event time of the faulty ones, µs."""
    timed: int = 0
    """Faulty records that say their event time."""
    offset: int = -1
    event_time: int = NO_TIME
    append_time: int = 0
    """All three of the last faulty one; the append time is known though the level was 0 since."""
    heard: bool = True
    """Whether a reported one had a record, faulty or not, since buckets were closed last."""
    bucket: int = 0
    """The first open bucket when that was last so."""
    silent: bool = False
    """Whether it was told that no records come."""

    def clear(self) -> None:
        """The level is 0, and nothing is counted."""
        kept = {
            part: getattr(self, part)
            for part in ("told", "append_time", "heard", "bucket", "silent")
        }
        self.__init__(**kept)  # type: ignore[misc]

    def flip(self) -> "Level":
        """It is told, or over. Returns the level as it was then; counting begins again."""
        self.told, self.silent = not self.told, False
        seen = replace(self)
        self.clear()
        return seen


@dataclass(frozen=True, slots=True)
class Fault:
    """A verdict: at the record of this offset most of an application's last records are faulty, or
    something became of that.
    """

    offset: int
    tenant: str
    application: str
    begins: bool
    seen: Level
    """As it was then; do not change it."""
    status: SignalStatus = SignalStatus.NORMAL
    """What became of it, where it does not begin."""
    again: bool = False
    """It was told before, and then that no records come."""


class Faults:
    """All levels of one kind of fault in one lane: exact in the order of records, wherever blocks
    are cut.
    """

    def __init__(self, records: int, seed: int) -> None:
        """`seed` is that of the lane's names (`streams.state.subjects`)."""
        self._records, self._seed = records, seed
        self._levels: dict[Name, Level] = {}
        self._of_tenant: dict[str, int] = {}
        self._swept = 0

    def __bool__(self) -> bool:
        """Whether any application is watched."""
        return bool(self._levels)

    def told_tenants(self) -> Iterator[str]:
        """Tenants of what was told and is not over."""
        return (tenant for (tenant, _), level in self._levels.items() if level.told)

    def take(self, faulty: Faulty, offsets: Int64s, events: Events) -> list[Fault]:
        """Judges faulty records and the others that came with them, `events` with their offsets,
        shape (n,). Verdicts by offset.
        """
        if not len(faulty.offsets) and not (self._levels and len(offsets)):
            return []
        last = max(int(each[-1]) for each in (faulty.offsets, offsets) if len(each))
        first = min(int(each[0]) for each in (faulty.offsets, offsets) if len(each))
        sweeps = range((first // SWEEP_OFFSETS + 1) * SWEEP_OFFSETS, last + 1, SWEEP_OFFSETS)
        found: list[Fault] = []
        for start, end in pairwise([first, *sweeps, last + 1]):
            wrong = slice(*np.searchsorted(faulty.offsets, (start, end)).tolist())
            right = slice(*np.searchsorted(offsets, (start, end)).tolist())
            heads = [*faulty.offsets[wrong][:1].tolist(), *offsets[right][:1].tolist()]
            if heads:
                # Where no record is, nothing is swept: a gap may lie between two blocks as well.
                found += self._sweep(start // SWEEP_OFFSETS, min(heads))
                found += self._stretch(faulty, wrong, offsets[right], events[right])
        return sorted(found, key=lambda fault: (fault.offset, fault.tenant, fault.application))

    def _sweep(self, number: int, offset: int) -> list[Fault]:
        due, self._swept = bool(self._levels) and number != self._swept, number
        if not due:
            return []
        self._make_room(halving=False)
        if len(self._levels) >= MOST:
            self._make_room(halving=True)
        crowd = self._levels.get(CROWD)
        if crowd is None or not crowd.told or len(self._levels) >= MOST:
            return []
        # Nobody's good records count on it: it is over when there is room again.
        del self._levels[CROWD]
        self._leave(CROWD[0])
        return [Fault(offset, *CROWD, begins=False, seen=crowd, status=SignalStatus.GIVEN_UP)]

    def _make_room(self, *, halving: bool) -> None:
        for name, level in list(self._levels.items()):
            if halving and not level.told:
                level.level //= 2
            if not level.level and not level.told:
                del self._levels[name]
                self._leave(name[0])

    def _leave(self, tenant: str) -> None:
        self._of_tenant[tenant] -= 1
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]

    def _stretch(
        self, faulty: Faulty, wrong: slice, offsets: Int64s, events: Events
    ) -> Iterator[Fault]:
        """Between two sweeps."""
        codes = faulty.name_of[wrong]
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
        indices: dict[Name, list[Int64s]] = {}
        for own in sorted(groups, key=lambda group: int(group[0])):
            name = self._admitted(faulty.names[int(codes[own[0]])])
            indices.setdefault(name, []).append(wrong.start + own)
        names = sorted(self._levels)
        for owners, places in self._owners(events, names):
            for place in places:
                mine = np.sort(
                    np.concatenate([*indices.get(names[place], ()), np.empty(0, np.int64)])
                )
                others = offsets[owners == place]
                if len(mine) or len(others):
                    yield from self._judge(names[place], faulty, mine, others)

    def _admitted(self, name: Name) -> Name:
        """The level that a faulty record of this name counts on; a new name may get its own."""
        if name in self._levels:
            return name
        tenant = name[0]
        if name[1] != OTHER and self._of_tenant.get(tenant, 0) >= MOST_OF_TENANT:
            return self._admitted((tenant, OTHER))
        if len(self._levels) >= MOST and name != CROWD:
            return self._admitted(CROWD)
        self._levels[name] = Level()
        self._of_tenant[tenant] = self._of_tenant.get(tenant, 0) + 1
        return name

    def _owners(self, events: Events, names: Sequence[Name]) -> Iterator[tuple[Int64s, list[int]]]:
        """For each event the place of the level that it counts on, -1 for none, and those places:
        once for applications with levels of their own, and once for tenants, on whose shared level
        all their events count.
        """
        for shared, columns in ((False, ("tenant", "application")), (True, ("tenant",))):
            places = [place for place, name in enumerate(names) if (name[1] == OTHER) is shared]
            owners = np.full(len(events), -1, np.int64)
            if places and len(events):
                hashed = events.hashes(columns, self._seed)
                ones, twos = hashes_of(
                    [names[place][: len(columns)] for place in places], self._seed
                )
                order = np.argsort(ones)
                known = order[np.minimum(np.searchsorted(ones[order], hashed[0]), len(order) - 1)]
                same = (ones[known] == hashed[0]) & (twos[known] == hashed[1])
                owners[same] = np.array(places, np.int64)[known[same]]
            yield owners, places

    def passed(
        self, bucket: int, offset: int, policy_of: Callable[[str], TenantPolicy]
    ) -> Iterator[Fault]:
        """All buckets before this one are closed, by the record of this offset, all before which
        were taken: what became of those without records.
        """
        for name, level in sorted(self._levels.items(), key=lambda pair: pair[0]):
            if not level.told:
                continue
            policy = policy_of(name[0])
            if level.heard:
                level.heard, level.bucket = False, bucket
            elif bucket - level.bucket >= policy.give_up_buckets:
                yield Fault(offset, name[0], name[1], False, level.flip(), SignalStatus.GIVEN_UP)
            elif bucket - level.bucket >= policy.no_data_buckets and not level.silent:
                level.silent = True
                yield Fault(offset, name[0], name[1], False, replace(level), SignalStatus.NO_DATA)

    def _judge(
        self, name: Name, faulty: Faulty, indices: Int64s, others: Int64s
    ) -> Iterator[Fault]:
        """One application's records of a stretch, in the order of offsets."""
        level = self._levels[name]
        level.heard = True
        if level.silent and len(indices):
            first = int(faulty.offsets[indices[0]])
            yield from self._count_on(name, faulty, indices[:0], others[others < first])
            others = others[others > first]
            if level.silent:
                level.silent, seen = False, Level(told=True)
                _count(seen, faulty, indices[:1])
                yield Fault(first, name[0], name[1], True, seen, again=True)
        yield from self._count_on(name, faulty, indices, others)

    def _count_on(
        self, name: Name, faulty: Faulty, indices: Int64s, others: Int64s
    ) -> Iterator[Fault]:
        offsets = np.concatenate([faulty.offsets[indices], others])
        order = np.argsort(offsets, kind="stable")
        places = np.concatenate([indices, np.full(len(others), -1, np.int64)])[order]
        offsets = offsets[order]
        at = 0
        while at < len(places):
            end = min(at + _STRETCH, len(places))
            level = self._levels[name]
            passed = self._passed(level, places[at:end] >= 0)
            step = places[at : at + passed.count]
            if passed.zero:
                _stamp(level, faulty, step[: passed.zero])
                level.clear()
                step = step[passed.zero :]
            _count(level, faulty, step)
            level.level = passed.level
            at += passed.count
            if passed.level >= self._records:
                seen = level.flip()
                yield Fault(int(offsets[at - 1]), name[0], name[1], level.told, seen)

    def _passed(self, level: Level, is_faulty: Bools) -> "_Passed":
        """How far the level gets, at most to where it is told."""
        steps = np.where(is_faulty != level.told, 1, -1)
        sums = level.level + np.cumsum(steps)
        levels = sums - np.minimum(np.minimum.accumulate(sums), 0)
        reached = np.flatnonzero(levels >= self._records)
        count = int(reached[0]) + 1 if len(reached) else len(levels)
        zeros = np.flatnonzero(levels[:count] == 0)
        return _Passed(count, int(levels[count - 1]), int(zeros[-1]) + 1 if len(zeros) else 0)

    def state(self) -> object:
        """For the lane's own row."""
        rows = [
            (*name, [getattr(level, part) for part in Level.__slots__])
            for name, level in sorted(self._levels.items())
        ]
        return [self._swept if rows else 0, rows]

    def restore(self, stored: Sequence[object]) -> None:
        """Takes what `state` gave."""
        self._swept, rows = stored  # type: ignore[assignment]  # as `state` wrote it
        levels = cast("Sequence[tuple[str, str, Sequence[Any]]]", rows)
        self.restore_levels((tenant, name, Level(*parts)) for tenant, name, parts in levels)

    def restore_levels(self, levels: Iterable[tuple[str, str, Level]]) -> None:
        """Takes levels by tenant and application."""
        for tenant, application, level in levels:
            self._levels[tenant, application] = level
            self._of_tenant[tenant] = self._of_tenant.get(tenant, 0) + 1


@dataclass(frozen=True, slots=True)
class _Passed:
    count: int
    """Records."""
    level: int
    """After them."""
    zero: int
    """How many of them came until the level was 0 for the last time."""


def _stamp(level: Level, faulty: Faulty, places: Int64s) -> None:
    """Notes when the last faulty one of these records was appended."""
    wrong = places[places >= 0]
    if len(wrong):
        level.append_time = int(faulty.append_times[wrong[-1]])


def _count(level: Level, faulty: Faulty, places: Int64s) -> None:
    """Counts records: the places of faulty ones, -1 for others."""
    wrong = places[places >= 0]
    level.total += len(places)
    level.faulty += len(wrong)
    if not len(wrong):
        return
    codes, first, counts = np.unique(faulty.kind_of[wrong], return_index=True, return_counts=True)
    for place in np.argsort(first).tolist():
        kind = faulty.kinds[int(codes[place])]
        if kind in level.kinds or len(level.kinds) < MOST_KINDS:
            level.kinds[kind] = level.kinds.get(kind, 0) + int(counts[place])
    last = int(wrong[-1])
    level.offset, level.event_time = int(faulty.offsets[last]), int(faulty.event_times[last])
    _stamp(level, faulty, wrong)
    timed = wrong[faulty.event_times[wrong] != NO_TIME]
    if len(timed):
        behind = faulty.append_times[timed] - faulty.event_times[timed]
        least, most = int(behind.min()), int(behind.max())
        level.least = min(level.least, least) if level.timed else least
        level.most = max(level.most, most) if level.timed else most
        level.timed += len(timed)
