"""What the sink keeps."""

from dataclasses import dataclass
from enum import StrEnum


class EventsKept(StrEnum):
    """Which events of telemetry are stored."""

    NONE = "none"
    SAMPLED = "sampled"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What the stage `sink` stores besides anomalies, incidents, notifications and aggregates,
    which it always does.
    """

    events: EventsKept = EventsKept.NONE
    """`all` stores every event of telemetry too, `sampled` those that an anomaly cites and
    `sampled_share` of the others; never the texts of prompts and answers. `none`, the default,
    stores none, since these are by far the most documents.
    """

    sampled_share: float = 0.01
    """Share of all events that `sampled` stores, 0 to 1. Which follows from their place in the log
    alone: a replay stores the same.
    """

    cited_within: int = 100_000
    """Records of a partition, up to the one that completed an anomaly, among which the events that
    it cites are looked for when events are `sampled`. At least what one partition takes in while a
    bucket is open.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.sampled_share <= 1:
            raise ValueError("sampled_share must be 0 to 1")
        if self.cited_within < 1:
            raise ValueError("cited_within must be 1 or more")
