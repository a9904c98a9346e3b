"""What a lane writes to `anomalies`: verdicts and ends in the order of its records, and its
watermark where somebody listens.
"""

from collections.abc import Callable, Iterable

from agents.detection.intake.reports import Report, intake_anomaly, intake_change
from agents.detection.listeners import Listeners
from schemas.records.anomalies import Anomaly, SignalChange
from streams.control.records import signal_change, watermark
from streams.lane.outgoing import Outgoing, Step
from streams.settings import Lanes

Place = tuple[int, int, int]
"""Lane, offset and ordinal."""


class AnomalyLog:
    """One lane's. Times µs."""

    def __init__(self, lane: int, topic: str, limits: Lanes) -> None:
        self.listeners = Listeners(limits.partitions, limits.bucket_s)
        self._lane, self._topic = lane, topic
        self._ordinal = (-1, 0)

    def next_place(self, offset: int) -> Place:
        """Of the next anomaly or change that the record at this offset makes; they rise."""
        last, count = self._ordinal
        self._ordinal = (offset, count + 1 if offset == last else 0)
        return self._lane, offset, self._ordinal[1]

    def say(self, said: Anomaly | SignalChange, step: Step) -> None:
        """Writes it. A partition that does not listen yet hears first how far the lane is: by that
        correlate knows this lane's order again, should the log of telemetry have begun anew since
        the lane spoke to it.
        """
        partition, mark = self.listeners.add(said.tenant, said.event_time), self.listeners.watermark
        if partition is not None and mark is not None:
            step.now.append(watermark(self._topic, partition, self._lane, said.offset, mark))
        if isinstance(said, Anomaly):
            step.now.append(Outgoing(self._topic, said.tenant.encode(), said.to_bytes()))
            return
        step.now.append(signal_change(self._topic, said))
        if said.status.is_end:
            self.listeners.ends(said.event_time)

    def report(self, report: Report, time: int, bucket_us: int, version: str, step: Step) -> None:
        """Writes that something is wrong with what comes in, or is so no longer. `time` is the
        lane's there.
        """
        place = self.next_place(report.offset)
        if report.begins:
            self.say(intake_anomaly(report, time, bucket_us, version, place), step)
        else:
            self.say(intake_change(report, time, version, place), step)

    def closed(
        self, offset: int, mark: int, tenants: Callable[[], Iterable[str]], step: Step
    ) -> None:
        """The record at this offset moved the watermark there; `tenants` are those with an open
        signal.
        """
        step.now += [
            watermark(self._topic, partition, self._lane, offset, mark)
            for partition in self.listeners.told(mark, tenants)
        ]
