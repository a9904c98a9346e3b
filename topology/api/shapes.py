"""Shapes of answers beside documents, and of the bodies of requests."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.alerting.matching import Matcher
from topology.api import texts
from topology.api.queries import Name
from topology.control import commanding

LONGEST_SILENCE_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that has something in the store."""

    tenant: str


@dataclass(frozen=True, slots=True)
class Me:
    """The permissions of this request's token."""

    tenant: str | None
    """The one tenant whose data it may see; null for operators."""
    can_act: bool
    """Whether commands are accepted: silences, acknowledgements, closing an incident."""
    why_not: str
    """Why they are not accepted; empty when they are."""
    trace_url: str | None
    """Address of a trace (`alerting.trace_url`), with `{trace_id}` for its id; null when it is
    not set.
    """


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence whose end is not past, as it was asked for. `alert` refuses one that exceeds its
    limits.
    """

    id: str
    tenant: str
    matchers: tuple[str, ...]
    author: str
    comment: str
    starts_at: int
    ends_at: int
    state: commanding.SilenceState
    """Only a silence that `alert` has applied holds messages back."""
    detail: str
    """The answer of `alert`, such as why it was refused."""
    expired_by: str
    """Who asked to end it before its time; empty while nobody has."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The last acknowledgement of an incident."""

    tenant: str
    incident_id: str
    author: str
    comment: str
    at: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that is on its topic. Its outcome is the record of `/api/v1/audit` that has both
    of these values.
    """

    command_id: str
    """The same for each command of this kind about the same thing."""
    asked_at: int


@dataclass(frozen=True, slots=True)
class Lane:
    """The position of a lane of a worker."""

    lane: str
    lag: int
    """Records between what the lane has processed and the end of its log, at the last fetch."""
    moved_at: int | None
    """When it last moved, or was known to have nothing to do, by the worker's clock; for the sink,
    when the broker last answered it. Null when it has not said.
    """
    age_s: float | None
    """Seconds since then, by the same clock."""
    held_since: int | None = None
    """Since when an open transaction of a producer holds back what comes behind it in the lane's
    input; null while none does.
    """
    held: int = 0
    """Offsets that it holds back; they are in no lag."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of a worker since it started."""

    records: int
    events: int
    late: int
    """Events left out of windows, too late for them."""
    bad: int
    """Records that went to dead-letters."""
    stored: int
    """Documents that the store accepted."""
    delivered: int
    failed: int
    """Attempts to deliver a message that failed; most were made again."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, as it reports itself on `/metrics`."""

    address: str
    stage: str
    """Empty when it did not say."""
    up: bool
    """Whether it answered."""
    ready: bool
    error: str | None
    lanes: tuple[Lane, ...]
    totals: Totals


class StageState(StrEnum):
    """Whether a stage works."""

    MOVING = "moving"
    """Its workers are ready, and their lanes move."""
    STALLED = "stalled"
    """A worker does not answer or is not ready, or lanes have not moved for longer than
    `api.stale_after_s`.
    """
    UNKNOWN = "unknown"
    """No worker of this stage is known to the API."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, judged by all its workers."""

    stage: str
    state: StageState
    why: str
    """What is wrong with it, or what is not known; empty when it moves."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The workers that `api.workers` names, and what they are together."""

    at: int
    """When they were asked."""
    state: StageState
    """Of all stages together: moving only when each one moves and every named worker answers."""
    why: str
    """Empty when all move."""
    stages: tuple[Stage, ...]
    workers: tuple[Worker, ...]


class DataState(StrEnum):
    """How far the data that is shown can be trusted."""

    LIVE = "live"
    """Every stage moves, and the newest data are fresh."""
    QUIET = "quiet"
    """Every stage moves, but no newer data came for longer than `api.stale_after_s`: nobody sends,
    or what is sent has old event times.
    """
    BEHIND = "behind"
    """Every stage moves, but what is stored is older than `api.stale_after_s` while records wait to
    be processed.
    """
    STALLED = "stalled"
    """A stage does not work, or Kafka does not answer: new faults are not found, or not shown."""
    UNKNOWN = "unknown"
    """Whether the stages work is not known to the API."""
    EMPTY = "empty"
    """Nothing is stored yet."""


@dataclass(frozen=True, slots=True)
class LastEvent:
    """Until when an application sent data that arrived here."""

    tenant: str
    application: str
    last_event: int
    """Begin of the newest stored bucket that has calls, event time."""
    age_s: float
    """Seconds from then to now; 0 when the clock of the sender is ahead."""


@dataclass(frozen=True, slots=True)
class Overview:
    """State of the data, the stages and open incidents."""

    at: int
    """When this was found."""
    state: DataState
    why: str
    """In words; empty when live."""
    all_clear: bool
    """True only when no incident is open *and* the state is live. An empty list of incidents alone
    does not say that all is well.
    """
    open_incidents: int
    """Open incidents; of more than 100, 100."""
    newest: int | None
    """Begin of the newest stored bucket; null when there is none."""
    age_s: float | None
    """Seconds since then."""
    stages: tuple[Stage, ...]
    applications: tuple[LastEvent, ...]
    """By tenant and name; the first 1,000."""


def _matcher(text: str) -> str:
    return str(Matcher.parse(text))


class Saying(BaseModel):
    """The author of a command, and the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    author: Annotated[str, AfterValidator(texts.line)] = Field(
        "", max_length=200, description="Author, shown to others. Empty means the API's user."
    )
    comment: Annotated[str, AfterValidator(texts.prose)] = Field(
        "", max_length=2000, description="Reason, shown to others."
    )


class NewSilence(Saying):
    """A new silence."""

    tenant: Name = Field(description="The tenant; optional with a tenant's own token.")
    matchers: list[
        Annotated[str, Field(max_length=400), AfterValidator(texts.line), AfterValidator(_matcher)]
    ] = Field(
        [],
        max_length=20,
        description="Conditions that must all hold, such as application=chat, severity<=medium.",
    )
    for_s: float = Field(gt=0, le=LONGEST_SILENCE_S, description="Duration in seconds.")
    everything: bool = Field(False, description="Needed to silence without any condition.")
