"""Facts that a lane's step returns, for metrics.

A step counts nothing itself: it is a pure function, and what it counted would be counted again when
its records are replayed. The lane set counts a step's facts once its outputs are acknowledged.
"""

from dataclasses import dataclass
from enum import Enum, auto


class FactKind(Enum):
    """What happened."""

    BAD_RECORD = auto()
    """A record became a dead letter; `Fact.reason` says why."""
    MISPLACED_EVENT = auto()
    """An event came in a lane that is not its application's."""
    REPEATED_ANOMALY = auto()
    """An anomaly came again and was dropped."""
    SOURCE_LANE_TAKEN_BACK = auto()
    """A position that a record named turned out to be beyond the end of its lane's log."""
    ALERT_DECISION = auto()
    """A decision about a message was made; `Fact.reason` is its reason."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a step found, to be counted in `Step.facts`.

    >>> from collections import Counter
    >>> facts = Counter({Fact(FactKind.BAD_RECORD, "null"): 2})
    """

    kind: FactKind
    reason: str = ""
    """Why, for the kinds that say so."""
