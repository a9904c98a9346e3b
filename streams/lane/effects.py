"""Durable side effects as values: what a lane decides to do to the world outside Kafka."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effect:
    """A side effect that a step decided, run by the outbox once the decision is durable.

    It is run at least once, under the same id each time, until its outcome is in the lane's state.
    """

    id: str
    kind: str
    """The word under which the outbox knows how to run it, such as `delivery`."""
    payload: object
    """The kind's own value."""
    decided_at: int
    """Wall clock, µs; deadlines count from here, over restarts."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at this wall-clock time, µs."""

    at: int
    reason: str
    detail: str
