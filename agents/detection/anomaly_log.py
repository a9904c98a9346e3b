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
    """Writes the records of one lane. Times are event time, µs.

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
        """`name_of` returns the subject's name."""
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
        """Write the anomaly of a finding. `detector` is name and version, the rest as for
        `verdicts.anomaly`.
        """
        name, position = self._name_of(found), self._next(offset)
        self._write(
            anomaly(found, name, detector, self.settings_version, position, sample, failed), step
        )

    def change(
        self, change: Change, detector: str, event_time: int, offset: int, step: Step
    ) -> None:
        """Write what became of a signal."""
        name, position = self._name_of(change.signal), self._next(offset)
        version = self.settings_version
        self._write(signal_change(change, name, detector, version, event_time, position), step)

    def report(self, report: Report, time: int, step: Step) -> None:
        """Write that something is wrong with the lane's records, or no longer is. `time` is the
        lane's time at the record.
        """
        version, position = self.settings_version, self._next(report.offset)
        if report.begins:
            self._write(intake_anomaly(report, time, self._bucket_us, version, position), step)
        else:
            self._write(intake_change(report, time, version, position), step)

    def closed(
        self, offset: int, mark: int, tenants: Callable[[], Iterable[str]], step: Step
    ) -> None:
        """Write that the record at this offset moved the watermark to `mark`; `tenants` returns
        those with an open signal.
        """
        step.now += [
            watermark(self._topic, partition, self._lane, offset, mark)
            for partition in self.listeners.notified(mark, tenants)
        ]

    def _next(self, offset: int) -> Position:
        """Position of the next record that the record at this offset makes."""
        last, count = self._last
        self._last = (offset, count + 1 if offset == last else 0)
        return self._lane, offset, self._last[1]

    def _write(self, record: Anomaly | SignalChange, step: Step) -> None:
        partition, mark = (
            self.listeners.add(record.tenant, record.event_time),
            self.listeners.watermark,
        )
        # A partition that did not listen gets the watermark before the record: if the log of
        # telemetry was created again since the lane last wrote there, offsets began at 0, and by
        # the watermark correlate notices it.
        if partition is not None and mark is not None:
            step.now.append(watermark(self._topic, partition, self._lane, record.offset, mark))
        if isinstance(record, Anomaly):
            step.now.append(Outgoing(self._topic, record.tenant.encode(), record.to_bytes()))
            return
        step.now.append(change_record(self._topic, record))
        if record.status.is_end:
            self.listeners.ends(record.event_time)
