"""The detectors of one settings version, and what they need of a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agents.detection.segment import columns_of
from agents.detection.served import detectors_of
from agents.detectors.contract import AtCloseDetector, AtOnceDetector, Detector, Kind
from agents.detectors.settings import DetectionSettings

WINDOW_COLUMNS: Final = (
    "event_time",
    "tenant",
    "application",
    "model",
    "status",
    "latency_us",
    "time_to_first_token_us",
    "prompt_tokens",
    "completion_tokens",
    "cost_nano",
)
"""What the windows are made of."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A settings version made ready: frozen, shared by all lanes of a worker."""

    version: str
    at_once: Sequence[AtOnceDetector]
    at_close: Sequence[AtCloseDetector]
    columns: tuple[str, ...]
    """Columns of TelemetryEvent that must be decoded."""
    give_up_buckets: int
    """For so long a subject with an open signal is remembered without an event."""
    no_data_buckets: int
    """After so long without an event it is told that no data comes of it."""

    @property
    def profiles_users(self) -> bool:
        """Whether users are a kind of subject at all."""
        return any(detector.kind is Kind.USER for detector in self.at_close)

    def detectors(self) -> list[Detector]:
        """All of them, in the order in which they are asked."""
        return [*self.at_once, *self.at_close]


def policy_of(version: str, settings: DetectionSettings) -> Policy:
    """The detectors that these settings switch on. Raises Refused when a lane cannot serve one of
    them.
    """
    detectors = detectors_of(settings)
    columns = list(WINDOW_COLUMNS)
    if settings.profile.enabled:
        columns.append("user")
    if detectors.at_once:
        # An anomaly names its event.
        columns.append("event_id")
    for rule in settings.rules:
        columns.extend(columns_of(rule.metric))
    columns_read = tuple(dict.fromkeys(columns))
    buckets = settings.give_up_buckets, settings.no_data_buckets
    return Policy(version, detectors.at_once, detectors.at_close, columns_read, *buckets)
