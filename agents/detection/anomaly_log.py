"""What a lane writes to `anomalies`: verdicts and ends in the order of its records, and its
watermark for the partitions that listen.
"""

from collections.abc import Callable, Iterable

from agents.detection.failed_calls import Failed
from agents.detection.intake.reports import Report, intake_anomaly, intake_change
from agents.detection.listeners import Listeners
from agents.detection.verdicts import anomaly, signal_change
from agents.detectors.contract import Change, Finding, Signal
from schemas.records.anomalies import Anomaly, SignalChange
from streams.control.records import signal_change as change_record
from streams.control.records import watermark
from streams.lane.outgoing import Outgoing, Step
from streams.settings import Lanes

Position = tuple[int, int, int]
"""Lane, offset and ordinal."""


class AnomalyLog:
    """One lane's. Times are event time, µs.

    Every record has a position of its own: the offset of the record of telemetry that made it, and
    an ordinal among those of that offset. Positions rise in the order of writing.
    """

    def __init__(
        self,
        lane: int,
        topic: str,
        limits: Lanes,
        name_of: Callable[[Finding | Signal], tuple[str, ...]],
    ) -> None:
        """`name_of` gives the subject's name."""
        self.listeners = Listeners(limits.partitions, limits.bucket_s)
        self.settings_version = ""
        """The version in effect, which every record names."""
        self._lane, self._topic, self._name_of = lane, topic, name_of
        self._bucket_us = limits.bucket_s * 1_000_000
        self._last = (-1, 0)

    def finding(
        self,
        found: Finding,
        detector: tuple[str, int],
        offset: int,
        step: Step,
        sample: Callable[[int], str] = lambda position: "",
        failed: Failed | None = None,
    ) -> None:
        """Writes the anomaly of a finding; `detector` is name and version, the rest as for
        `verdicts.anomaly`.
        """
        name, position = self._name_of(found), self._next(offset)
        self._write(
            anomaly(found, name, detector, self.settings_version, position, sample, failed), step
        )

    def change(
        self, change: Change, detector: str, event_time: int, offset: int, step: Step
    ) -> None:
        """Writes what became of a signal."""
        name, position = self._name_of(change.signal), self._next(offset)
        version = self.settings_version
        self._write(signal_change(change, name, detector, version, event_time, position), step)

    def report(self, report: Report, time: int, step: Step) -> None:
        """Writes that something is wrong with what comes in, or is so no longer. `time` is the
        lane's there.
        """
        version, position = self.settings_version, self._next(report.offset)
        if report.begins:
            self._write(intake_anomaly(report, time, self._bucket_us, version, position), step)
        else:
            self._write(intake_change(report, time, version, position), step)

    def closed(
        self, offset: int, mark: int, tenants: Callable[[], Iterable[str]], step: Step
    ) -> None:
        """Writes that the record at this offset moved the watermark to `mark`; `tenants` are those
        with an open signal.
        """
        step.now += [
            watermark(self._topic, partition, self._lane, offset, mark)
            for partition in self.listeners.told(mark, tenants)
        ]

    def _next(self, offset: int) -> Position:
        """Of the next record that the record at this offset makes."""
        last, count = self._last
        self._last = (offset, count + 1 if offset == last else 0)
        return self._lane, offset, self._last[1]

    def _write(self, said: Anomaly | SignalChange, step: Step) -> None:
        partition, mark = self.listeners.add(said.tenant, said.event_time), self.listeners.watermark
        # A partition that does not listen yet hears first how far the lane is: by that correlate
        # knows this lane's order again, should the log of telemetry have begun anew since the lane
        # last wrote to it.
        if partition is not None and mark is not None:
            step.now.append(watermark(self._topic, partition, self._lane, said.offset, mark))
        if isinstance(said, Anomaly):
            step.now.append(Outgoing(self._topic, said.tenant.encode(), said.to_bytes()))
            return
        step.now.append(change_record(self._topic, said))
        if said.status.is_end:
            self.listeners.ends(said.event_time)
