"""Applications most of whose records do not count: refused, late, or ahead of the clock. They are
reported, since little of their traffic is watched.

Each application with such records has a level (`fault_level`), and is reported when that reaches
`lanes.fault_records`. With 20, twenty faulty records of a tenant that sends nothing else are
reported at the twentieth, half of a tenant's traffic after some hundred records, and one in ten
never. What was reported and has no more records is reported to have no data, and given up later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from agents.detection.intake.fault_level import Level
from agents.detection.intake.faulty import OTHER, Faulty
from agents.detection.policy import TenantPolicy
from schemas.records.anomalies import SignalStatus
from schemas.telemetry.events import Events, Name, hashes_of

Int64s = npt.NDArray[np.int64]

MAX_OF_TENANT: Final = 8
"""Applications of a tenant that are watched one by one; its others share a level, as do records
that do not say their application.
"""

MAX_LEVELS: Final = 256
"""Levels of a lane; the records of any further applications share the last one. A bad record could
name any number.
"""

SWEEP_OFFSETS: Final = 1 << 16
"""Offsets of the lane after which levels at 0 are dropped, and if there is still no room, all that
are not reported are halved.
"""

CROWD: Final = ("(others)", OTHER)
"""Tenant and application of the last level, which all share that have no other."""

_STRETCH: Final = 4_096
"""Records of one application that are judged at once; nothing else depends on it."""


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
    """The level as it was then; do not change it."""
    status: SignalStatus = SignalStatus.NORMAL
    """What became of it, where it does not begin."""
    again: bool = False
    """It was reported before, and then that no records come."""


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

    def reported_tenants(self) -> Iterator[str]:
        """Tenants of what was reported and is not over."""
        return (tenant for (tenant, _), level in self._levels.items() if level.reported)

    def judge(self, faulty: Faulty, offsets: Int64s, events: Events) -> list[Fault]:
        """Judge faulty records and the others that came with them, `events` with their offsets,
        shape (n,). Verdicts are in the order of offsets, tenants and applications.
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
        if len(self._levels) >= MAX_LEVELS:
            self._make_room(halving=True)
        crowd = self._levels.get(CROWD)
        if crowd is None or not crowd.reported or len(self._levels) >= MAX_LEVELS:
            return []
        # No good record counts on it, so it could not end otherwise: it is over when there is room
        # again.
        del self._levels[CROWD]
        self._leave(CROWD[0])
        return [Fault(offset, *CROWD, begins=False, seen=crowd, status=SignalStatus.GIVEN_UP)]

    def _make_room(self, *, halving: bool) -> None:
        for name, level in list(self._levels.items()):
            if halving and not level.reported:
                level.level //= 2
            if not level.level and not level.reported:
                del self._levels[name]
                self._leave(name[0])

    def _leave(self, tenant: str) -> None:
        self._of_tenant[tenant] -= 1
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]

    def _stretch(
        self, faulty: Faulty, wrong: slice, offsets: Int64s, events: Events
    ) -> Iterator[Fault]:
        """Judge the records between two sweeps."""
        codes = faulty.name_of[wrong]
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
        indices: dict[Name, list[Int64s]] = {}
        for own in sorted(groups, key=lambda group: int(group[0])):
            name = self._admitted(faulty.names[int(codes[own[0]])])
            indices.setdefault(name, []).append(wrong.start + own)
        names = sorted(self._levels)
        for owners, levels in self._owners(events, names):
            for level in levels:
                mine = np.sort(
                    np.concatenate([*indices.get(names[level], ()), np.empty(0, np.int64)])
                )
                others = offsets[owners == level]
                if len(mine) or len(others):
                    yield from self._judge_application(names[level], faulty, mine, others)

    def _admitted(self, name: Name) -> Name:
        """The name of the level that a faulty record counts on; a new name may get its own."""
        if name in self._levels:
            return name
        tenant = name[0]
        if name[1] != OTHER and self._of_tenant.get(tenant, 0) >= MAX_OF_TENANT:
            return self._admitted((tenant, OTHER))
        if len(self._levels) >= MAX_LEVELS and name != CROWD:
            return self._admitted(CROWD)
        self._levels[name] = Level()
        self._of_tenant[tenant] = self._of_tenant.get(tenant, 0) + 1
        return name

    def _owners(self, events: Events, names: Sequence[Name]) -> Iterator[tuple[Int64s, list[int]]]:
        """For each event the index of the level that it counts on, -1 for none, and those indices:
        once for applications with levels of their own, and once for tenants, on whose shared level
        all their events count.
        """
        for shared, columns in ((False, ("tenant", "application")), (True, ("tenant",))):
            levels = [index for index, name in enumerate(names) if (name[1] == OTHER) is shared]
            owners = np.full(len(events), -1, np.int64)
            if levels and len(events):
                hashed = events.hashes(columns, self._seed)
                ones, twos = hashes_of(
                    [names[level][: len(columns)] for level in levels], self._seed
                )
                order = np.argsort(ones)
                known = order[np.minimum(np.searchsorted(ones[order], hashed[0]), len(order) - 1)]
                same = (ones[known] == hashed[0]) & (twos[known] == hashed[1])
                owners[same] = np.array(levels, np.int64)[known[same]]
            yield owners, levels

    def passed(
        self, bucket: int, offset: int, policy_of: Callable[[str], TenantPolicy]
    ) -> Iterator[Fault]:
        """Judge what became of those without records: all buckets before this one are closed, by
        the record of this offset; all records before that were judged.
        """
        for name, level in sorted(self._levels.items(), key=lambda pair: pair[0]):
            if not level.reported:
                continue
            policy = policy_of(name[0])
            if level.heard:
                level.heard, level.bucket = False, bucket
            elif bucket - level.bucket >= policy.give_up_buckets:
                yield Fault(offset, name[0], name[1], False, level.flip(), SignalStatus.GIVEN_UP)
            elif bucket - level.bucket >= policy.no_data_buckets and not level.silent:
                level.silent = True
                yield Fault(offset, name[0], name[1], False, replace(level), SignalStatus.NO_DATA)

    def _judge_application(
        self, name: Name, faulty: Faulty, indices: Int64s, others: Int64s
    ) -> Iterator[Fault]:
        """Judge one application's records of a stretch, in the order of offsets."""
        level = self._levels[name]
        level.heard = True
        if level.silent and len(indices):
            first = int(faulty.offsets[indices[0]])
            yield from self._count_on(name, faulty, indices[:0], others[others < first])
            others = others[others > first]
            if level.silent:
                level.silent, seen = False, Level(reported=True)
                seen.count(faulty, indices[:1])
                yield Fault(first, name[0], name[1], True, seen, again=True)
        yield from self._count_on(name, faulty, indices, others)

    def _count_on(
        self, name: Name, faulty: Faulty, indices: Int64s, others: Int64s
    ) -> Iterator[Fault]:
        offsets = np.concatenate([faulty.offsets[indices], others])
        order = np.argsort(offsets, kind="stable")
        at = np.concatenate([indices, np.full(len(others), -1, np.int64)])[order]
        offsets = offsets[order]
        level, start = self._levels[name], 0
        while start < len(at):
            stretch = at[start : start + _STRETCH]
            run = level.run(stretch >= 0, self._records)
            level.apply(run, faulty, stretch[: run.count])
            start += run.count
            if run.level >= self._records:
                seen = level.flip()
                yield Fault(int(offsets[start - 1]), name[0], name[1], level.reported, seen)

    def state(self) -> object:
        """For the lane's own row."""
        rows = [
            (*name, [getattr(level, part) for part in Level.__slots__])
            for name, level in sorted(self._levels.items())
        ]
        return [self._swept if rows else 0, rows]

    def restore(self, stored: Sequence[object]) -> None:
        """Restore what `state` returned."""
        self._swept, rows = stored  # type: ignore[assignment]  # as `state` wrote it
        levels = cast("Sequence[tuple[str, str, Sequence[Any]]]", rows)
        self.restore_levels((tenant, name, Level(*parts)) for tenant, name, parts in levels)

    def restore_levels(self, levels: Iterable[tuple[str, str, Level]]) -> None:
        """Restore levels by tenant and application."""
        for tenant, application, level in levels:
            self._levels[tenant, application] = level
            self._of_tenant[tenant] = self._of_tenant.get(tenant, 0) + 1
