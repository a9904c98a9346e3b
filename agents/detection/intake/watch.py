"""What a lane notices of records that do not count as they should: refused, ahead of the clock,
late, or in the wrong lane.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.detection.intake import reports
from agents.detection.intake.fault_level import Level
from agents.detection.intake.faults import Fault, Faults
from agents.detection.intake.faulty import NO_FAULTY, OTHER, Faulty
from agents.detection.intake.placement import Placement
from agents.detection.intake.reading import DecodedBlock
from agents.detection.intake.report_reasons import AHEAD_EVENTS, BAD_RECORDS, FAULTS, LATE_EVENTS
from agents.detection.intake.reports import Report
from agents.detection.policy import PolicySet
from streams.lane.facts import Fact, FactKind
from streams.lane.outgoing import Step
from streams.settings import Lanes
from streams.state.subjects import Subjects

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_LATE: Final = "late"


class IntakeWatch:
    """The watch of one lane: state in the order of its records, and a report for what begins and
    for what is over.
    """

    def __init__(self, partition: int, limits: Lanes, seed: int) -> None:
        """`seed` is that of the lane's names (`streams.state.subjects`)."""
        self._partition, self._limits, self._seed = partition, limits, seed
        self._faults = {metric: Faults(limits.fault_records, seed) for metric in FAULTS}
        self._placement = Placement(partition, limits.partitions)

    def judged(
        self, decoded: DecodedBlock, at: slice, within: tuple[int, int], on_time: Bools | None
    ) -> list[Report]:
        """Judge records from one offset to before another (`within`), between which no bucket
        closes: events at these indices of the block, and bad ones. `on_time` says which of the
        events are on time, None that all are. Reports are in the order of offsets.
        """
        found = []
        for metric, faulty in (
            (BAD_RECORDS, decoded.bad.refused),
            (AHEAD_EVENTS, decoded.bad.ahead),
        ):
            faults, wrong = self._faults[metric], faulty.between(*within)
            if faults or len(wrong.offsets):
                found += self._reports(
                    metric, faults.judge(wrong, decoded.offsets[at], decoded.events[at])
                )
        late = self._faults[LATE_EVENTS]
        if late or not (on_time is None or on_time.all()):
            found += self._reports(LATE_EVENTS, self._judge_late(decoded, at, on_time))
        return sorted(found, key=lambda report: report.offset)

    def passed(self, bucket: int, offset: int, policies: PolicySet) -> list[Report]:
        """Judge what became of what was reported and has no more records: all buckets before this
        one are closed, by the record at this offset.
        """
        found: list[Report] = []
        for metric, faults in self._faults.items():
            if faults:
                found += self._reports(metric, faults.passed(bucket, offset, policies.of))
        return found

    def _judge_late(self, decoded: DecodedBlock, at: slice, on_time: Bools | None) -> list[Fault]:
        faults = self._faults[LATE_EVENTS]
        offsets, events = decoded.offsets[at], decoded.events[at]
        if on_time is None:
            return faults.judge(NO_FAULTY, offsets, events)
        right = np.flatnonzero(on_time)
        return faults.judge(
            self._late(decoded, at.start + np.flatnonzero(~on_time)), offsets[right], events[right]
        )

    def _reports(self, metric: str, found: Iterable[Fault]) -> list[Report]:
        return [reports.of_fault(metric, fault, self._partition, self._limits) for fault in found]

    def met(
        self,
        names: Sequence[tuple[str, ...]],
        rows: Sequence[int],
        series: Int64s,
        decoded: DecodedBlock,
        at: slice | Int64s,
        buckets: Int64s,
    ) -> None:
        """Look at new series, in the order of their first events. `at` are the indices of the
        events among which they are, `series` and `buckets` the events' rows and buckets.
        """
        strangers = self._placement.strangers(names)
        applications = [(names[one][0], names[one][1]) for one in strangers]
        strangers = [strangers[one] for one in self._placement.room(applications)]
        if not strangers:
            return
        first = [int(np.argmax(series == rows[one])) for one in strangers]
        offsets = decoded.offsets[at][first]
        indices = decoded.block.places(offsets).tolist()
        for one, index, record in zip(
            strangers, first, decoded.block.records_at(indices), strict=True
        ):
            tenant, application, *_ = names[one]
            self._placement.note((tenant, application), record.key, int(buckets[index]))

    def closed(
        self,
        bucket: int,
        offset: int,
        subjects: Subjects,
        applications: Int64s,
        requests: Int64s,
        step: Step,
    ) -> list[Report]:
        """Judge placement when a bucket is closed by the record at this offset; see
        `Placement.closed`.
        """
        verdicts, counted = self._placement.closed(bucket, subjects, applications, requests)
        if counted:
            step.facts[Fact(FactKind.MISPLACED_EVENT)] += counted
        return [
            reports.of_placement(verdict, offset, self._partition, self._limits.partitions)
            for verdict in verdicts
        ]

    def forget_rows(self) -> None:
        """Rows of applications may be given to others from now on."""
        self._placement.forget_rows()

    def open_tenants(self) -> Iterator[str]:
        """Tenants of what was reported to begin and not to be over."""
        for faults in self._faults.values():
            yield from faults.reported_tenants()
        yield from self._placement.reported_tenants()

    def _late(self, decoded: DecodedBlock, places: Int64s) -> Faulty:
        """Late events at these indices of the block, as faulty records."""
        events = decoded.events[places]
        ones, _ = events.hashes(("tenant", "application"), self._seed)
        _, first, codes = np.unique(ones, return_index=True, return_inverse=True)
        # Each name is looked up once, not for every event.
        names = events.names(("tenant", "application"), first) if len(places) else []
        none = np.zeros(len(places), np.int64)
        return Faulty(
            decoded.offsets[places],
            names,
            codes,
            (_LATE,),
            none,
            decoded.append_times[places],
            decoded.times[places],
        )

    def to_bytes(self) -> bytes:
        """The state, for the lane's own row."""
        kept = {metric: faults.state() for metric, faults in self._faults.items()}
        return orjson.dumps({"faults": kept, "placement": self._placement.state()})

    def restore(self, stored: bytes) -> None:
        """Restore what `to_bytes` returned."""
        kept = orjson.loads(stored)
        for metric, state in kept["faults"].items():
            self._faults[metric].restore(state)
        self._placement.restore(kept["placement"])

    def restore_shares(self, stored: bytes) -> None:
        """Restore what version 1 of the lane's own row has instead: good and bad records by
        tenant.
        """
        shares: Mapping[str, Sequence[int]] = orjson.loads(stored)
        levels = [
            (
                tenant,
                OTHER,
                Level(
                    level=min(bad - good, self._limits.fault_records - 1),
                    faulty=bad,
                    total=good + bad,
                ),
            )
            for tenant, (good, bad) in shares.items()
            if bad > good
        ]
        self._faults[BAD_RECORDS].restore_levels(levels)

    def examine(self, names: Sequence[tuple[str, ...]], bucket: int) -> None:
        """Look at series, by name, from the state of a release that did not look at placement; the
        keys of their records are not known.
        """
        strangers = [names[one][:2] for one in self._placement.strangers(names)]
        for one in self._placement.room(strangers):  # type: ignore[arg-type]
            self._placement.note_unseen(strangers[one], bucket)  # type: ignore[arg-type]
