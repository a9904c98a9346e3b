"""What one run is: how much traffic, how many deaths, and the settings that everything is judged
by.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agents.correlation.settings import CorrelationSettings
from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from agents.detectors.settings_codec import version_of
from connectors.store.settings import StoreSettings
from schemas.records.anomalies import Severity
from schemas.secrets import Secret
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from tests.harness.exactness.traffic import QUEUED_US, SLOW_US, TENANTS, Traffic

PARTITIONS: Final = 4
SPAN_US: Final = 3_600_000_000
"""Event time that the traffic runs over, µs: 360 buckets of 10 s."""

CORRELATION: Final = CorrelationSettings(quiet_s=60.0)
"""Shorter than usual, so that incidents open and end often."""

_SLOW: Final = Rule("slow-call", "latency_us", Comparison.ABOVE, float(SLOW_US))
_QUEUED: Final = Rule(
    "queued",
    "queue_time_us",
    Comparison.AT_LEAST,
    float(QUEUED_US),
    Severity.HIGH,
    tenant=TENANTS[0],
)
_FAILED: Final = Rule(
    "failed",
    "failed",
    Comparison.EQUAL,
    1.0,
    Severity.LOW,
    application="app-00000",
    model="model-1",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Everything random comes from `seed`, but for what the machine's speed decides."""

    bootstrap: str
    prefix: str = "exactness."
    events: int = 1_000_000
    copies: int = 1
    """Of each partition, on as many nodes."""
    kills: int = 10
    subjects: int = 120
    seed: int = 1
    learning: bool = True
    """Whether the deviation and the profile detector are on, beside the rules."""
    freezes: bool = True
    """Whether a worker is also frozen for longer than its group waits, so that it wakes as one
    whose lanes are another's.
    """
    seconds: float | None = None
    """How long the paced part of the traffic takes; None lets it follow from the number of
    kills.
    """
    prepare: Callable[[], None] | None = None
    """What each process of the reference does first."""
    proxied: str = ""
    """Where the workers reach the broker, if it is not `bootstrap`: through something that disturbs
    the network, say.
    """
    lateness_s: float = Lanes().lateness_s
    """For so much event time lanes wait for records that come late."""
    store: StoreSettings | None = None
    """Where the stage `sink` keeps documents, as it reaches it; None lets the run go without that
    stage.
    """
    control_key: Secret = field(default_factory=lambda: Secret(secrets.token_hex(32)))
    start: int = field(default_factory=lambda: time.time_ns() // 1000 - SPAN_US)
    """Event time of the first event, µs: the last one's is about now."""

    @property
    def broker(self) -> Broker:
        """Where everything goes."""
        return Broker(bootstrap_servers=self.bootstrap, topic_prefix=self.prefix)

    @property
    def lanes(self) -> Lanes:
        """Limits of the lanes, for the workers and for the reference."""
        return Lanes(
            partitions=PARTITIONS, replication_factor=self.copies, lateness_s=self.lateness_s
        )

    @property
    def names(self) -> TopicNames:
        """Names of the topics."""
        return TopicNames(self.prefix)

    @property
    def traffic(self) -> Traffic:
        """What is sent."""
        return Traffic(self.events, self.subjects, self.seed, self.start, SPAN_US)

    @property
    def first(self) -> DetectionSettings:
        """In effect from the beginning."""
        return self._detection(_SLOW)

    @property
    def second(self) -> DetectionSettings:
        """In effect from some moment on, while events flow: its rules need columns that the first
        ones do not.
        """
        return self._detection(_SLOW, _QUEUED, _FAILED)

    @property
    def versions(self) -> Mapping[str, DetectionSettings]:
        """All that control records may name."""
        return {version_of(each): each for each in (DetectionSettings(), self.first, self.second)}

    @property
    def rules(self) -> Mapping[str, Sequence[Rule]]:
        """Rules of every version."""
        return {version: settings.rules for version, settings in self.versions.items()}

    def _detection(self, *rules: Rule) -> DetectionSettings:
        return DetectionSettings(
            rules=rules,
            deviation=Deviation(enabled=self.learning),
            profile=Profile(enabled=self.learning),
        )
