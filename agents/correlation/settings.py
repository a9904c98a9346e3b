"""What decides which anomalies make one incident, and when it is over."""

from dataclasses import dataclass

from agents.correlation.grading import Thresholds


@dataclass(frozen=True, slots=True)
class CorrelationSettings:
    """How anomalies become incidents. Spans are seconds of event time unless the field says
    otherwise.
    """

    quiet_s: float = 180.0
    """An incident is resolved when everything that was wrong has been normal again, on data, for
    this long; an anomaly that comes sooner belongs to it. A shorter time reports the end sooner; a
    longer one makes one incident of a fault that flickers. The default is 18 buckets of 10 s. At
    most an hour, or 360 buckets if these are longer: detect writes its watermark for that long
    after it found something.
    """

    update_every_s: float = 30.0
    """Minimum time between an incident's last record and the next one that only adds a metric, a
    model, a user or a detector. A rise of severity and the end are reported at once.
    """

    active_lane_s: float = 60.0
    """Seconds of append time for which a source lane counts after its watermark last moved. A lane
    that no longer moves is idle or dead, and must not hold back the time of the others.
    """

    silence_s: float = 60.0
    """Seconds of append time beyond `quiet_s` after which an incident is reported to have no data,
    because the lane that it came from makes no progress.
    """

    give_up_s: float = 259_200.0
    """Seconds of append time (three days) after which an incident without data is given up. It ends
    as `given_up`, never as resolved.
    """

    max_signals: int = 250
    """Most open signals (metrics of series and users, rules) that an incident keeps by name, 28
    bytes each; more are counted.
    """

    max_open: int = 1000
    """Most open incidents of one tenant in one lane. The applications beyond it share one incident,
    so that a tenant with a million applications costs bounded memory.
    """

    max_listed: int = 100
    """Most anomaly ids, models, users, metrics and detectors, each, that an incident lists: the
    first ones. What is beyond is counted only.
    """

    large_from: int = 30
    """Anomalies from which on an incident counts as large. One that is two of large, long and wide
    is a step more severe than its most severe anomaly. A fault of one series makes up to six
    anomalies a minute.
    """

    long_from_s: float = 900.0
    """Span from its first anomaly to its latest from which on an incident counts as long: what does
    not pass within a quarter of an hour seldom passes by itself.
    """

    wide_from: int = 3
    """Models and users, together, from which on an incident counts as wide."""

    def __post_init__(self) -> None:
        for name in ("quiet_s", "active_lane_s", "give_up_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be above 0")
        for name in ("update_every_s", "silence_s", "long_from_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must not be negative")
        for name in ("max_open", "max_listed", "max_signals", "large_from", "wide_from"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")

    @property
    def thresholds(self) -> Thresholds:
        """From when on an incident is large, long and wide."""
        return Thresholds(self.large_from, round(self.long_from_s * 1e6), self.wide_from)
