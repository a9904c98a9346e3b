"""The detectors of one settings version, and what they need of a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agents.detection.segment import columns_of
from agents.detectors.contract import AtCloseDetector, AtOnceDetector, Detector, Kind
from agents.detectors.deviation import DeviationDetector
from agents.detectors.profile import ProfileDetector
from agents.detectors.settings import DetectionSettings
from agents.detectors.threshold import ThresholdDetector

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

    @property
    def profiles_users(self) -> bool:
        """Whether users are a kind of subject at all."""
        return any(detector.kind is Kind.USER for detector in self.at_close)

    def detectors(self) -> list[Detector]:
        """All of them, in the order in which they are asked."""
        return [*self.at_once, *self.at_close]


def policy_of(version: str, settings: DetectionSettings) -> Policy:
    """The detectors that these settings switch on."""
    at_once: list[AtOnceDetector] = [ThresholdDetector(settings.rules)] if settings.rules else []
    at_close: list[AtCloseDetector] = []
    columns = list(WINDOW_COLUMNS)
    if settings.deviation.enabled:
        at_close.append(DeviationDetector(settings.deviation))
    if settings.profile.enabled:
        at_close.append(ProfileDetector(settings.profile))
        columns.append("user")
    if at_once:
        # An anomaly names its event.
        columns.append("event_id")
    for rule in settings.rules:
        columns.extend(columns_of(rule.metric))
    return Policy(version, at_once, at_close, tuple(dict.fromkeys(columns)))
