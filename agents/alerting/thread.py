"""The messages to one receiver about one incident, sent and to be sent."""

from dataclasses import asdict, dataclass, field
from typing import Final, Self

import orjson

from agents.alerting.messages import Delivery
from agents.alerting.reasons import Reason
from streams.state.chunks import seal, unseal

_VERSION: Final = 4
"""2 added `held` and what follows it: a row of version 1 has their defaults. 3 has `summaries` for
what was one `summary`. 4 added `thread`, here and in each delivery: an older row has none.
"""

ANSWERS: Final = (
    Reason.ACKNOWLEDGED,
    Reason.NEW_LEVEL,
    Reason.RESOLVED,
    Reason.GIVEN_UP,
    Reason.CLOSED,
)
"""Reasons of messages for receivers that accepted a message that the incident is open."""


@dataclass(slots=True)
class Thread:
    """Messages about an incident reach a receiver in order: each is begun when the one before has
    its outcome.

    It begins with the first message or summary that says that the incident is open, and ends when
    the last message after its end has its outcome.
    """

    tenant: str
    incident_id: str
    receiver: str
    told: bool = False
    """Whether the receiver has accepted a message, or a summary, that says that it is open."""
    singly: bool = False
    """Whether a message of its own was decided; otherwise only summaries list it."""
    summaries: list[str] = field(default_factory=list)
    """Ids of the summaries without an outcome that list it: at most one in delivery and one that
    collects.
    """
    resolved: bool = False
    """Whether the incident is over: nothing more will come."""
    sending: bool = False
    """Whether the first of `queue` is being delivered."""
    held: str = ""
    """Reason of the message that a silence holds back; empty when there is none."""
    said_at: int = 0
    """Wall clock, µs, of the last decision to say that it is open."""
    repeats: int = 0
    """How many repeats were due, sent or held back."""
    reach: int = 0
    """How many models, users and metrics the last such message named."""
    thread: str = ""
    """Id of the receiver's own thread, which holds the first message."""
    queue: list[Delivery] = field(default_factory=list)
    """Messages without an outcome, in order; few, since repeats and extensions wait until none is
    queued.
    """

    def next(self) -> Delivery | None:
        """The message to begin now, if any.

        None while one is in delivery, and while an end waits for the outcome of the summary that
        lists the start, if nothing else was accepted.
        """
        if self.sending or not self.queue:
            return None
        head = self.queue[0]
        return None if head.reason in ANSWERS and self.summaries and not self.told else head

    @property
    def is_over(self) -> bool:
        """Whether the incident has ended and no message waits."""
        return self.resolved and not self.queue

    def row(self) -> bytes:
        """The thread as a row of a lane's state."""
        return seal(_VERSION, orjson.dumps(asdict(self)))

    @classmethod
    def from_row(cls, value: bytes) -> Self:
        """What `row` gave. Raises NewerState."""
        fields = orjson.loads(unseal(value, _VERSION, "threads")[1])
        # Version 2 and earlier had at most one summary.
        if "summary" in fields:
            fields["summaries"] = [one for one in (fields.pop("summary"),) if one]
        fields["queue"] = [delivery_of(item) for item in fields["queue"]]
        return cls(**fields)


def delivery_of(fields: dict[str, str | int]) -> Delivery:
    """A delivery out of a row's JSON."""
    delivery = Delivery(**fields)  # type: ignore[arg-type]  # our own row: its version was checked
    return Delivery(**{**fields, "reason": Reason(delivery.reason)})  # type: ignore[arg-type]
