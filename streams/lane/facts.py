"""Facts that a lane's step returns, for metrics.

A step counts nothing itself: it is a pure function, and what it counted would be counted again when
its records are replayed. The lane set counts the facts of a step after its outputs are acknowledged.
"""

from dataclasses import dataclass
from enum import Enum


class FactKind(Enum):
    """What happened; the value says what `Fact.reason` holds."""

    BAD_RECORD = "why the record became a dead letter"
    MISPLACED_EVENT = "nothing"
    REPEATED_ANOMALY = "nothing"
    SOURCE_LANE_TAKEN_BACK = "nothing"
    ALERT_DECISION = "the decision's reason"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a step found, to be counted in `Step.facts`.

    >>> from collections import Counter
    >>> facts = Counter({Fact(FactKind.BAD_RECORD, "null"): 2})
    """

    kind: FactKind
    reason: str = ""
