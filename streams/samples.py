"""What a lane says of itself for metrics: values of the moment, asked for now and then, never
counted within a step.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a gauge of `streams.metrics`: the gauge's name, and its labels after `lane`."""

    gauge: str
    labels: tuple[str, ...]
    value: float


@runtime_checkable
class Observed(Protocol):
    """A lane program that has something to say of what it watches."""

    def samples(self, most: int) -> Iterable[Sample]:
        """The present values, of at most `most` series, applications and groups each."""
        ...
