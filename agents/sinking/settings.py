"""What the sink keeps."""

from dataclasses import dataclass
from enum import StrEnum


class EventsKept(StrEnum):
    """Which events of telemetry are stored."""

    NONE = "none"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What the stage `sink` stores besides anomalies, incidents, notifications and aggregates, which it always does."""

    events: EventsKept = EventsKept.NONE
    """`all` stores every event of telemetry too, without the texts of prompts and answers. Off, since these are by far the most documents."""
