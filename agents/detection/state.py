"""What a lane of `detect` keeps: its subjects, their open buckets, and the tables of the detectors
in effect.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import numpy as np

from agents.detection.failed_calls import Read
from agents.detection.failures import TABLE, Failures
from agents.detection.policy import PolicySet
from agents.detection.population import SERIES_WINDOW, USER_WINDOW, Pages, Population
from agents.detectors.contract import Finding, Int64s, Kind, Signal
from streams.settings import Lanes
from streams.state.chunks import split_key
from streams.state.subjects import Subjects
from streams.state.tables import Table


def pages_of(rows: Mapping[bytes, bytes]) -> dict[str, dict[int, bytes]]:
    """Group rows of a state topic by table and page."""
    pages: dict[str, dict[int, bytes]] = {}
    for key, value in rows.items():
        table, page = split_key(key)
        pages.setdefault(table, {})[page] = value
    return pages


class LaneState:
    """The tables of one lane. Each knows which of its rows changed."""

    def __init__(self, limits: Lanes, seed: int, read_failed: Read) -> None:
        self.applications = Subjects("application-names", ("tenant", "application"), 1 << 40, seed)
        self.series = Population(
            Kind.SERIES,
            ("tenant", "application", "model"),
            SERIES_WINDOW,
            limits.subjects_per_tenant,
            seed,
            self.applications,
        )
        self.users = Population(
            Kind.USER,
            ("tenant", "application", "user"),
            USER_WINDOW,
            limits.users_per_tenant,
            seed,
            self.applications,
        )
        self.failures = Failures(read_failed)
        self.tables: dict[str, dict[str, Table]] = {}
        """By detector, then by name."""
        self._of_applications: list[Table] = []

    def name(self, finding: Finding | Signal) -> tuple[str, ...]:
        """Name of the subject of a finding or a signal."""
        of = {
            Kind.SERIES: self.series.subjects,
            Kind.USER: self.users.subjects,
            Kind.APPLICATION: self.applications,
        }
        return of[finding.kind].name(finding.row)

    def adopt(self, policies: PolicySet) -> None:
        """Make tables for the policies' detectors. Detectors that stay keep theirs; the rows of the
        others become tombstones.
        """
        for population in (self.series, self.users):
            population.attached = []
        self._of_applications = []
        tables: dict[str, dict[str, Table]] = {}
        for detector in policies.detectors():
            known = self.tables.get(detector.name, {})
            tables[detector.name] = {
                spec.name: self._attached(kind, known.get(spec.name, Table(spec)))
                for kind, spec in detector.tables
            }
        for name, dropped in self.tables.items():
            if name not in tables:
                # Kept, empty: their next changes are the tombstones.
                tables[name] = dropped
                for table in dropped.values():
                    table.clear(np.arange(len(table)))
        self.tables = tables

    def reserve_applications(self) -> None:
        """Make room for new applications."""
        for table in self._of_applications:
            table.reserve(self.applications.capacity)

    def expire(self, before: int, chosen: Callable[[Population, Int64s], Int64s]) -> None:
        """Forget subjects without an event since the bucket `before`, and applications that have
        no subject left; `chosen` returns those of the rows that may go.
        """
        for population in (self.series, self.users):
            population.forget(chosen(population, population.expired(before)))
        live = np.union1d(self.series.live_applications(), self.users.live_applications())
        gone = np.setdiff1d(self.applications.sorted_rows(), live)
        if len(gone):
            for table in self._of_applications:
                table.clear(gone)
            self.applications.forget(gone)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Changed pages of every table."""
        tables = [table.changes() for owned in self.tables.values() for table in owned.values()]
        return chain(
            self.applications.changes(),
            self.series.changes(),
            self.users.changes(),
            self.failures.changes(),
            *tables,
        )

    def restore(self, pages: Pages) -> None:
        """Restore the rows of `changes`; the policies in effect must be adopted before. Raises
        NewerState.
        """
        self.applications.restore(pages.get(self.applications.table, {}))
        self.series.restore(pages)
        self.users.restore(pages)
        self.failures.restore(pages.get(TABLE, {}))
        for owned in self.tables.values():
            for table in owned.values():
                table.restore(pages.get(table.spec.name, {}))
        # Rows that were not stored are empty, but must be there.
        self.reserve_applications()

    def _attached(self, kind: Kind, table: Table) -> Table:
        if kind is Kind.APPLICATION:
            table.reserve(self.applications.capacity)
            self._of_applications.append(table)
        else:
            population = self.series if kind is Kind.SERIES else self.users
            table.reserve(population.subjects.capacity)
            population.attached.append(table)
        return table
