"""The faults of the demo hour: what happens, to whom, when, how strongly, and where it must show.

They are known to the code that makes the traffic and to the code that scores it, and to no other:
no event carries a trace of them. The first 13 minutes are clean, for learning; faults of one
application have at least seven minutes between them; the last nine minutes are clean again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from topology.demo.scoring import Family, Label
from topology.demo.traces.applications import user_id


class FaultKind(StrEnum):
    """What goes wrong, and what `magnitude` means for it."""

    LATENCY_STEP = "latency step"
    """Every call takes `magnitude` times as long, to its first token and for each token after."""

    FIRST_TOKEN_DRIFT = "drift of time to first token"
    """The time to first token grows evenly from its usual value to `magnitude` times that at the
    end.
    """

    ERROR_BURST = "error burst"
    """This share of calls fails."""

    PROMPT_ATTACK = "prompt-size attack"
    """One user sends, besides what it does usually, a prompt of 12,000 to 14,000 tokens every
    `magnitude` seconds.
    """

    COST_RUNAWAY = "cost run-away"
    """Answers are `magnitude` times as long."""

    SILENCE = "silence"
    """This share of calls never comes."""

    RETRY_STORM = "retry storm"
    """Each try fails with this probability (HTTP 429) and is made again at once, four times at
    most.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Times are seconds from the first request of the hour; `end_s` is exclusive."""

    name: str
    kind: FaultKind
    application: str
    start_s: int
    end_s: int
    magnitude: float
    shows: frozenset[Family]
    """Families of metrics in which an on-call engineer would look for it."""
    knock_on: frozenset[Family] = frozenset()
    """Families that it disturbs besides."""
    model: str | None = None
    """The one model that it is about; None for all of the application's."""
    user: str | None = None
    """The one user that it is about; None for none in particular."""

    def label(self, start: int) -> Label:
        """The fault as the scorer knows it, for an hour that starts at this moment (µs)."""
        return Label(
            name=self.name,
            application=self.application,
            model=self.model,
            user=self.user,
            shows=self.shows,
            knock_on=self.knock_on,
            start=start + self.start_s * 1_000_000,
            end=start + self.end_s * 1_000_000,
        )


F = Family
FAULTS: Final = (
    # A model's replica set lost two thirds of its accelerators: plain to see, and nothing fails
    # yet.
    Fault(
        name="latency step",
        kind=FaultKind.LATENCY_STEP,
        application="chat-assistant",
        model="heron-large",
        start_s=780,
        end_s=1020,
        magnitude=3.0,
        shows=frozenset({F.LATENCY, F.FIRST_TOKEN}),
        # A long answer now takes longer than callers wait: one call in fifty times out.
        knock_on=frozenset({F.ERRORS}),
    ),
    # The provider sheds load; one call in three fails, at once.
    Fault(
        name="error burst",
        kind=FaultKind.ERROR_BURST,
        application="code-completion",
        start_s=1140,
        end_s=1320,
        magnitude=0.35,
        shows=frozenset({F.ERRORS}),
        knock_on=frozenset({F.LATENCY, F.FIRST_TOKEN, F.TOKENS, F.COST}),
    ),
    # A queue that fills slowly: no single minute looks wrong beside the one before.
    Fault(
        name="slow drift",
        kind=FaultKind.FIRST_TOKEN_DRIFT,
        application="search-summary",
        model="heron-small",
        start_s=1380,
        end_s=1980,
        magnitude=2.0,
        shows=frozenset({F.FIRST_TOKEN}),
        knock_on=frozenset({F.LATENCY}),
    ),
    # One user of 400 stuffs the context window, a hundred times in three minutes.
    Fault(
        name="prompt-size attack",
        kind=FaultKind.PROMPT_ATTACK,
        application="support-bot",
        model="heron-small",
        user=user_id("support-bot", 6),
        start_s=1560,
        end_s=1740,
        magnitude=1.8,
        shows=frozenset({F.TOKENS, F.COST, F.REQUESTS}),
        knock_on=frozenset({F.LATENCY, F.FIRST_TOKEN}),
    ),
    # A prompt change took out the word "briefly"; the bill of the application almost triples.
    Fault(
        name="cost run-away",
        kind=FaultKind.COST_RUNAWAY,
        application="chat-assistant",
        start_s=2100,
        end_s=2340,
        magnitude=5.0,
        shows=frozenset({F.COST, F.TOKENS}),
        knock_on=frozenset({F.LATENCY, F.ERRORS}),
    ),
    # A router sends nothing to one model of two any more, and raises no error.
    Fault(
        name="silent model",
        kind=FaultKind.SILENCE,
        application="support-bot",
        model="heron-small",
        start_s=2400,
        end_s=2640,
        magnitude=1.0,
        shows=frozenset({F.REQUESTS}),
        knock_on=frozenset({F.TOKENS, F.COST}),
    ),
    # A client retries without backoff while the provider says "too many": each request becomes 2.3.
    Fault(
        name="retry storm",
        kind=FaultKind.RETRY_STORM,
        application="search-summary",
        start_s=2760,
        end_s=2940,
        magnitude=0.6,
        shows=frozenset({F.REQUESTS, F.ERRORS, F.RETRIES}),
        knock_on=frozenset({F.LATENCY, F.FIRST_TOKEN, F.TOKENS, F.COST}),
    ),
)


def labels(start: int, faults: Sequence[Fault] = FAULTS) -> tuple[Label, ...]:
    """What the scorer needs, for an hour that starts at this moment (µs)."""
    return tuple(fault.label(start) for fault in faults)
