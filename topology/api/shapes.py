"""What the API answers beside documents, and what it takes."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.alerting.matching import Matcher

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
    """Whether silences and acknowledgements are taken."""
    why_not: str
    """Why they are not; empty when they are."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence that is not past its end. Times are µs since 1970-01-01 UTC."""

    id: str
    tenant: str
    matchers: tuple[str, ...]
    author: str
    comment: str
    starts_at: int
    ends_at: int
    expired_by: str
    """Who ended it before its time; empty while it holds."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a lane of a worker stands."""

    lane: str
    lag: int
    """Records between what the lane took and the end of its log."""
    moved_at: int | None
    """When it last moved, µs; null when it has not said."""
    held_since: int | None = None
    """Since when an open transaction of a producer holds back what comes behind it in the lane's input, µs; null while none does."""
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


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The workers that `api.workers` names."""

    at: int
    """When they were asked, µs."""
    workers: tuple[Worker, ...]


def _matcher(text: str) -> str:
    return str(Matcher.parse(text))


class Saying(BaseModel):
    """Who says something, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author: str = Field("", max_length=200, description="Who; others read it. Empty means the API's user.")
    comment: str = Field("", max_length=2000, description="Why; others read it.")


class NewSilence(Saying):
    """A silence to be made."""

    tenant: str = Field(min_length=1, description="The tenant; may be left out with a tenant's own token.")
    matchers: list[Annotated[str, AfterValidator(_matcher)]] = Field(
        [], max_length=20, description="Conditions that must all hold, such as application=chat, severity<=medium."
    )
    for_s: float = Field(gt=0, le=LONGEST_SILENCE_S, description="For how long, in seconds.")
    everything: bool = Field(False, description="Needed to silence without any condition.")
