"""Settings of detection: one immutable version of them is one `DetectionSettings`."""

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from schemas.records.anomalies import Severity

MOST_RULES: Final = 32
"""Rules in one version of the settings; a series keeps eight bytes for each."""

LEARNING_BUCKETS: Final = 30
"""Buckets for which a series is only learnt from at first."""

RULE_METRICS: Final = {
    "latency_us": "latency, µs",
    "time_to_first_token_us": "time to the first token, µs",
    "time_per_output_token_us": "time per token of the answer, µs",
    "queue_time_us": "time in a queue, µs",
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the answer",
    "tokens": "tokens of prompt and answer",
    "cached_tokens": "tokens of the prompt that came from a cache",
    "reasoning_tokens": "tokens of reasoning",
    "cost_nano": "cost, 1e-9 of a currency unit",
    "http_status": "HTTP status",
    "retries": "retries before this call",
    "failed": "1 when the status is not success, else 0",
}
"""Metrics that a rule may name, each with its unit; beside them `quality.<name>`, `security.<kind>`
and `feature.<name>`.
"""

RULE_METRIC_PREFIXES: Final = ("quality.", "security.", "feature.")

_RULE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class SettingsError(ValueError):
    """A value out of range. `field` is its path, as in `rules[2].threshold`; `why` says what is
    wrong.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class Comparison(StrEnum):
    """How a value that breaks a rule compares to its threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "=="
    NOT_EQUAL = "!="


@dataclass(frozen=True, slots=True)
class Rule:
    """A threshold on one event: broken by every event of a matching series whose metric compares so
    to the threshold.
    """

    name: str
    """What people call it; letters, digits and `_.-`, at most 64, unique among the rules."""

    metric: str
    """One of `RULE_METRICS`, or `quality.<name>`, `security.<kind>`, `feature.<name>`. An event
    without it does not match.
    """

    comparison: Comparison
    """`>`, `>=`, `<`, `<=`, `==` or `!=`, as in `value > threshold`."""

    threshold: float
    """In the metric's unit; finite."""

    severity: Severity = Severity.MEDIUM
    """Of the anomaly: info, low, medium, high or critical."""

    tenant: str | None = None
    """Exact name of the only tenant it is for. None means every tenant."""

    application: str | None = None
    """Exact name of the only application it is for. None means every application."""

    model: str | None = None
    """Exact name of the only model it is for. None means every model."""

    def __post_init__(self) -> None:
        if not _RULE_NAME.fullmatch(self.name):
            raise SettingsError(
                "name",
                f"{self.name!r} must be 1 to 64 letters, digits and `_.-`, a letter or digit first",
            )
        prefixed = any(
            self.metric.startswith(prefix) and self.metric != prefix
            for prefix in RULE_METRIC_PREFIXES
        )
        if self.metric not in RULE_METRICS and not prefixed:
            known = ", ".join(
                [*RULE_METRICS, *(f"{prefix}<name>" for prefix in RULE_METRIC_PREFIXES)]
            )
            raise SettingsError("metric", f"{self.metric!r} is not a metric; use one of {known}")
        _finite("threshold", self.threshold)


@dataclass(frozen=True, slots=True)
class LeastChange:
    """The smallest change of a series that is worth reporting, however sure it is. None means that
    the metric is not judged.
    """

    latency: float | None = 1.1
    """Ratio by which calls are slower. Faster calls are no anomaly."""

    time_to_first_token: float | None = 1.1
    """Ratio, as for latency."""

    tokens: float | None = 1.15
    """Ratio by which a call has more tokens."""

    cost: float | None = 1.1
    """Ratio by which a call, or a token, costs more."""

    error_rate: float | None = 0.005
    """Difference of shares: 0.005 is one more failure in two hundred calls."""

    request_rate: float | None = 1.25
    """Ratio, symmetrical: 1.25 means a quarter more, or a fifth less; silence is any ratio."""

    def __post_init__(self) -> None:
        for name in ("latency", "time_to_first_token", "tokens", "cost", "request_rate"):
            value = getattr(self, name)
            if value is not None and not 1.0 < value <= 1e6:
                raise SettingsError(
                    name, f"{value!r} must be a ratio over 1 and at most 1e6, or null"
                )
        if self.error_rate is not None and not 0.0 < self.error_rate < 1.0:
            raise SettingsError(
                "error_rate", f"{self.error_rate!r} must be a share between 0 and 1, or null"
            )


@dataclass(frozen=True, slots=True)
class Deviation:
    """How series are judged against their own past."""

    enabled: bool = True
    """False: no findings and no bands, and nothing is learnt."""

    false_alarms_per_week: float = 1.0
    """False alarms that an application may raise in a week, over all its series and metrics. Fewer
    means that faults are found later, and small ones not at all. Between 0.01 and 100.
    """

    repeat_buckets: int = 12
    """Buckets after which an anomaly that lasts is reported again (two minutes of 10 s), with its
    new extent.
    """

    give_in_buckets: int | None = 4320
    """Buckets with data (twelve hours of 10 s) after which a changed level of latency, time to
    first token, tokens, cost or request rate becomes the new normal, which ends its signal. An
    error rate never becomes normal, nor does silence. None means that no level does.
    """

    least_change: LeastChange = field(default_factory=LeastChange)
    """The smallest change of each metric that is worth reporting."""

    def __post_init__(self) -> None:
        _between("false_alarms_per_week", self.false_alarms_per_week, 0.01, 100.0)
        _between("repeat_buckets", self.repeat_buckets, 1, 100_000)
        if self.give_in_buckets is not None:
            _between("give_in_buckets", self.give_in_buckets, 10, 10_000_000)


@dataclass(frozen=True, slots=True)
class Profile:
    """How users are judged against their own past and other users of the application."""

    enabled: bool = True
    """False: no findings, and nothing is learnt."""

    window_buckets: int = 30
    """Time constant of a user's recent volume, buckets (five minutes of 10 s): users come about
    once a minute, so one bucket says little.
    """

    threshold: float = 3.25
    """Score from which a user's volume counts as anomalous: standard deviations above what the
    user's past makes likely, on the logarithmic scale. It takes at least two buckets to get there,
    so 3.25 is rarer than it sounds. Between 3 and 10.
    """

    newcomer_threshold: float = 4.5
    """The same for a user without enough past of their own, of whom the application's users say
    what is likely. Higher, since some users are heavy from the first day. Between 3 and 20.
    """

    crowd_threshold: float = 1.5
    """A user with a past must also be so many standard deviations above the usual volume of the
    application's users: who grows from little to the ordinary is no news. Between 1 and 10.
    """

    least_ratio: float = 5.0
    """The smallest ratio of recent to usual volume worth reporting, however sure it is."""

    least_buckets: int = 5
    """Buckets with requests that make a past of a user's own, over at least `window_buckets`."""

    memory_buckets: int = 100
    """Buckets with requests over which a user's usual volume is remembered (time constant)."""

    repeat_buckets: int = 12
    """Buckets after which a user who stays anomalous is reported again (two minutes of 10 s)."""

    give_in_buckets: int | None = 360
    """Buckets of continuous findings (an hour of 10 s) after which a user's volume becomes the new
    normal: that is reported once, and learning starts over. The signal ends when the user uses
    clearly less. None means never.
    """

    level_memory_buckets: int = 60_480
    """Buckets after which a user's new normal ends the signal (a week of 10 s)."""

    def __post_init__(self) -> None:
        _between("window_buckets", self.window_buckets, 1, 1000)
        _between("threshold", self.threshold, 3.0, 10.0)
        _between("newcomer_threshold", self.newcomer_threshold, 3.0, 20.0)
        _between("crowd_threshold", self.crowd_threshold, 1.0, 10.0)
        _between("least_ratio", self.least_ratio, 1.1, 1e6)
        _between("least_buckets", self.least_buckets, 5, 100_000)
        _between("memory_buckets", self.memory_buckets, 5, 100_000)
        _between("repeat_buckets", self.repeat_buckets, 1, 100_000)
        if self.give_in_buckets is not None:
            _between("give_in_buckets", self.give_in_buckets, 10, 10_000_000)
        _between("level_memory_buckets", self.level_memory_buckets, 10, 10_000_000)


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """All of detection; immutable, and named by its content (`settings_codec.version_of`)."""

    rules: tuple[Rule, ...] = ()
    """Threshold rules, at most 32; an anomaly names its rule."""

    deviation: Deviation = field(default_factory=Deviation)
    """How series are judged."""

    profile: Profile = field(default_factory=Profile)
    """How users are judged."""

    rule_quiet_buckets: int = 18
    """Buckets (three minutes of 10 s) with events that have the rule's metric, none of which breaks
    the rule, after which the signal of a broken rule ends.
    """

    no_data_buckets: int = 18
    """Buckets (three minutes of 10 s) without an event of a subject with an open signal, or without
    one that has the broken rule's metric, after which the signal is reported to have no data. That
    does not end it.
    """

    give_up_buckets: int = 25_920
    """Buckets without an event (three days of 10 s) after which a subject with an open signal is
    forgotten, or `lanes.subject_expiry_s` if that is longer. The signal is then given up, which is
    not the same as resolved.
    """

    def __post_init__(self) -> None:
        if len(self.rules) > MOST_RULES:
            raise SettingsError(
                "rules",
                f"{len(self.rules)} rules are more than the {MOST_RULES} that a version may have",
            )
        _between("rule_quiet_buckets", self.rule_quiet_buckets, 1, 100_000)
        # An idle lane closes no more than 60.
        _between("no_data_buckets", self.no_data_buckets, 1, 60)
        _between("give_up_buckets", self.give_up_buckets, 60, 10_000_000)
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.name in seen:
                raise SettingsError(f"rules[{index}].name", f"{rule.name!r} is used twice")
            seen.add(rule.name)


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise SettingsError(name, f"{value!r} must be a finite number")


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise SettingsError(name, f"{value!r} must be between {least:g} and {most:g}")
