"""The policies of one settings version, and the columns that they need of a block."""

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
class TenantPolicy:
    """What the settings say about the open signals of one tenant."""

    no_data_buckets: int
    """Buckets without an event after which a signal is reported to have no data."""
    give_up_buckets: int
    """Buckets without an event for which a subject with an open signal is remembered."""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A settings version made ready: frozen, shared by all lanes of a worker.

    A lane reads no settings elsewhere. What is decided for one name is asked by tenant (`of`); the
    detectors judge the subjects of all tenants together and are given each subject's name.
    """

    version: str
    at_once: Sequence[AtOnceDetector]
    at_close: Sequence[AtCloseDetector]
    columns: tuple[str, ...]
    """Columns of TelemetryEvent that must be decoded."""
    installation: TenantPolicy
    """The policy of every tenant."""

    def of(self, tenant: str) -> TenantPolicy:
        """The tenant's policy."""
        del tenant  # Settings are the installation's; a tenant's own would be looked up here.
        return self.installation

    @property
    def profiles_users(self) -> bool:
        """Whether users are a kind of subject at all."""
        return any(detector.kind is Kind.USER for detector in self.at_close)

    def detectors(self) -> list[Detector]:
        """All of them, in the order in which they are asked."""
        return [*self.at_once, *self.at_close]


def policies_of(version: str, settings: DetectionSettings) -> PolicySet:
    """The policies that these settings make. Raises Refused when a lane cannot serve one of their
    detectors.
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
    return PolicySet(
        version=version,
        at_once=detectors.at_once,
        at_close=detectors.at_close,
        # A metric of a rule may be one of the window's columns: each once, in a stable order.
        columns=tuple(dict.fromkeys(columns)),
        installation=TenantPolicy(settings.no_data_buckets, settings.give_up_buckets),
    )
