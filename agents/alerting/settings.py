"""Settings of alert: receivers, summaries, retries, the heartbeat."""

from dataclasses import dataclass, field

from agents.alerting.matching import Matcher
from schemas.records.anomalies import Severity
from schemas.secrets import Secret


@dataclass(frozen=True, kw_only=True)
class ReceiverSettings:
    """One receiver of messages: the keys that every kind has."""

    name: str
    """Name of the receiver: part of every message's id and of the state, so a receiver under a new
    name is a new receiver.
    """

    kind: str = "log"
    """How it is reached: `log`, `webhook`, `pagerduty` or `slack`. Each kind has keys of its own,
    below.
    """

    min_severity: Severity = Severity.LOW
    """Minimum severity of the incidents that it gets. The default leaves out `info`, which is for
    reading on the page, not for notifying anybody.
    """

    match: tuple[str, ...] = ()
    """Conditions that an incident must all meet to be sent, written as those of a silence:
    `tenant=acme`, `application=checkout`, `model!=gpt-4o`, `severity>=high`; fields are tenant,
    application, incident, model, user, metric, detector and severity. Of an incident that names
    several models (or users, metrics, detectors), `=` holds when this value is among them and `!=`
    when another is. Empty means every incident. An incident that matches no receiver is on
    `notifications` as `not routed: matches no receiver`.
    """

    send_resolved: bool = True
    """Whether the end of an incident is sent, if the receiver got a message about it."""

    send_extended: bool = False
    """Whether a message is sent when a model, a user or a metric joins an incident. Off, since a
    rise of severity is sent anyway and the page shows the rest.
    """

    pages_per_hour: int | None = 60
    """Rate limit: the most messages within an hour that say that an incident is open. Incidents
    beyond it go into one summary, those of the next hour into another. Nobody reads more than one a
    minute. Each worker counts its own. None means no limit.
    """

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a receiver needs a name")
        for condition in self.match:
            try:
                Matcher.parse(condition, knows_tenant=True)
            except ValueError as fault:
                raise ValueError(f"receiver {self.name!r}: match: {fault}") from fault
        if self.pages_per_hour is not None and self.pages_per_hour < 1:
            raise ValueError(
                f"receiver {self.name!r}: pages_per_hour must be at least 1, or null for no limit"
            )


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Retries of a delivery after a temporary fault: the waits double from `first_s` to `cap_s`,
    each shortened by up to half by jitter.
    """

    first_s: float = 1.0
    """Longest wait before the second attempt, seconds: a receiver that restarts is back within a
    few.
    """

    cap_s: float = 300.0
    """Longest wait between two attempts, seconds; also the most of a receiver's Retry-After that
    is honoured.
    """

    deadline_s: float = 3600.0
    """Seconds of wall clock after the decision to send after which a message is given up. They
    count while the worker is down, too.
    """

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.cap_s:
            raise ValueError(
                f"retry waits must be above 0 and first_s ({self.first_s}) at most cap_s"
                f" ({self.cap_s})"
            )
        if self.deadline_s < 0:
            raise ValueError(f"deadline_s is {self.deadline_s}, it must not be negative")


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """Dead man's switch: a ping to a monitor while alert makes progress. The monitor raises an
    alarm when the pings stop.
    """

    url: Secret = field(default_factory=lambda: Secret(""))
    """Address of the monitor; a secret, since anybody who knows it can ping too. Empty means no
    heartbeat.
    """

    every_s: float = 60.0
    """Seconds between two pings. The monitor should miss two or three of them before it raises an
    alarm.
    """

    allow_private: bool = False
    """Whether the address may be a loopback or private one."""

    def __post_init__(self) -> None:
        if self.every_s <= 0:
            raise ValueError(f"heartbeat: every_s is {self.every_s}, it must be above 0")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Which incidents are sent to which receivers."""

    receivers: tuple[ReceiverSettings, ...] = (ReceiverSettings(name="log"),)
    """All receivers; each gets every incident from its severity on. The default writes to the log
    of the alert worker.
    """

    alert_max_age_s: float = 900.0
    """Wall-clock seconds after its `updated_at` after which an incident's record is too old for a
    message of its own when it arrives, as after an outage or at the first start: it goes into a
    summary. A recorded trace that is played with its old times needs a larger value.
    """

    summary_wait_s: float = 15.0
    """Debounce: seconds without another incident after which a summary is sent. A backlog arrives
    within a few.
    """

    summary_max_wait_s: float = 120.0
    """Seconds after its first incident at which a summary is sent even if more keep coming."""

    summary_listed: int = 50
    """Most incidents that a summary lists one by one. The others it counts only; their ends are not
    sent.
    """

    max_waiting: int = 1000
    """Most messages that wait for one receiver in one lane. Beyond it, new incidents go into the
    summary: memory is bounded, and no flood follows when the receiver is back.
    """

    retry: RetrySettings = field(default_factory=RetrySettings)
    """Retries of failed deliveries."""

    heartbeat: HeartbeatSettings = field(default_factory=HeartbeatSettings)
    """Dead man's switch: a ping that stops when alert stops."""

    repeat_interval_s: float | None = None
    """Wall-clock seconds after a message about an incident at which another one says that it is
    still open, unless it is acknowledged or silenced. None or 0 means never: an incident makes one
    message, and its end another.
    """

    page_url: str | None = None
    """Address at which people reach Sentinel's page, such as `https://sentinel.example.org`: each
    message links to `PAGE_URL/incidents/TENANT/INCIDENT`. None means that messages have no link.
    """

    trace_url: str | None = None
    """Address of one trace in your tracing, with `{trace_id}` where its id belongs, such as
    `https://jaeger.example.org/trace/{trace_id}`: messages link to traces of calls that were
    judged. None means that messages have no such links.
    """

    def __post_init__(self) -> None:
        if self.trace_url is not None and not (
            self.trace_url.startswith(("https://", "http://")) and "{trace_id}" in self.trace_url
        ):
            raise ValueError(
                f"trace_url is {self.trace_url!r}, it must begin with https:// or http:// and"
                " contain {trace_id}"
            )
        if self.page_url is not None and not self.page_url.startswith(("https://", "http://")):
            raise ValueError(
                f"page_url is {self.page_url!r}, it must begin with https:// or http://"
            )
        if (self.repeat_interval_s or 0) < 0:
            raise ValueError(
                f"repeat_interval_s is {self.repeat_interval_s}, it must not be negative"
            )
        names = [receiver.name for receiver in self.receivers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"receivers need different names, {', '.join(map(repr, twice))} is given more than"
                " once"
            )
        for name in ("alert_max_age_s", "summary_wait_s", "summary_max_wait_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must not be negative")
        for name in ("summary_listed", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")
