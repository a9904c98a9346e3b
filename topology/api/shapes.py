"""What the API answers beside documents, and what it takes."""

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
    """What the token of this request allows."""

    tenant: str | None
    """The one tenant that may be seen; null for operators."""
    can_act: bool
    """Whether commands are accepted: silences, acknowledgements, closing an incident."""
    why_not: str
    """Why they are not accepted; empty when they are."""
    trace_url: str | None
    """Where a trace is looked at (`alerting.trace_url`), with `{trace_id}` for its id; null when
    the settings do not say.
    """


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence that is not past its end. It is what was asked for; `alert` obeys it unless it is
    over its limits.
    """

    id: str
    tenant: str
    matchers: tuple[str, ...]
    author: str
    comment: str
    starts_at: int
    ends_at: int
    state: commanding.SilenceState
    """What became of it: only what `alert` has applied holds messages back."""
    detail: str
    """What `alert` said of it, such as why it was refused."""
    expired_by: str
    """Who asked to end it before its time; empty while nobody has."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who takes care of an incident."""

    tenant: str
    incident_id: str
    author: str
    comment: str
    at: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that is on its topic. What came of it is the record of `/api/v1/audit` that has
    both of these.
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
    """What a worker counted since it started."""

    records: int
    events: int
    late: int
    """Events left out of windows, too late for them."""
    bad: int
    """Records that went to dead-letters."""
    stored: int
    """Documents that the store took."""
    delivered: int
    failed: int
    """Attempts to deliver a message that failed; most were made again."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker, as it tells of itself."""

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
    """Of all stages together: moving only when each of them moves and every named worker answers."""
    why: str
    """Empty when all move."""
    stages: tuple[Stage, ...]
    workers: tuple[Worker, ...]


class DataState(StrEnum):
    """What can be believed of what is shown."""

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
    """A stage does not work, or Kafka does not answer: faults of now are not found, or not shown."""
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
    """How things are, and how far that can be believed."""

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
    """Who says something, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    author: Annotated[str, AfterValidator(texts.line)] = Field(
        "", max_length=200, description="Who; others read it. Empty means the API's user."
    )
    comment: Annotated[str, AfterValidator(texts.prose)] = Field(
        "", max_length=2000, description="Why; others read it."
    )


class NewSilence(Saying):
    """A silence to be made."""

    tenant: Name = Field(description="The tenant; may be left out with a tenant's own token.")
    matchers: list[
        Annotated[str, Field(max_length=400), AfterValidator(texts.line), AfterValidator(_matcher)]
    ] = Field(
        [],
        max_length=20,
        description="Conditions that must all hold, such as application=chat, severity<=medium.",
    )
    for_s: float = Field(gt=0, le=LONGEST_SILENCE_S, description="For how long, in seconds.")
    everything: bool = Field(False, description="Needed to silence without any condition.")
