"""Whether the stages work and the data are current, so that the absence of incidents means
something.

Each age is measured by one clock: a lane's by its worker's, the data's by the API's.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from agents.stages.sink import NAME as SINK
from streams.admin.topics import STAGES
from topology.api.shapes import DataState, Lane, Stage, StageState, Worker

ORDER: Final = (*STAGES, SINK)
"""Stages in the order in which data flows."""

TICKING: Final = "detect"
"""The stage whose lanes always move: idle partitions of telemetry get ticks."""


def stages_of(
    workers: Sequence[Worker], stale_after_s: float, ticks: bool = True
) -> tuple[Stage, ...]:
    """All stages, in the order in which data flows, each judged by its workers.

    Without `ticks`, or if they come too rarely, lanes may rest while no records wait for them, as
    after recorded traffic.
    """
    named = {worker.stage for worker in workers if worker.stage}
    return tuple(
        _stage(name, [one for one in workers if one.stage == name], stale_after_s, ticks)
        for name in _ordered(named)
    )


def together(stages: Sequence[Stage], workers: Sequence[Worker]) -> tuple[StageState, str]:
    """The state of all stages, and why it is not moving."""
    silent = [
        f"worker {one.address} {one.error or 'does not answer'}" for one in workers if not one.up
    ]
    stalled = [f"{one.stage}: {one.why}" for one in stages if one.state is StageState.STALLED]
    unknown = [one.stage for one in stages if one.state is StageState.UNKNOWN]
    if silent or stalled:
        return StageState.STALLED, "; ".join((*stalled, *silent))
    if unknown:
        return (
            StageState.UNKNOWN,
            (
                f"no worker of {', '.join(unknown)} is named in api.workers, so whether it works is"
                " not known"
            ),
        )
    return StageState.MOVING, ""


def for_tenants(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The same without addresses and lanes, which only operators may see."""
    why = "an operator's token shows why"
    return tuple(
        one if one.state is StageState.MOVING else Stage(one.stage, one.state, why)
        for one in stages
    )


def judged(
    pipeline: tuple[StageState, str],
    kafka_silent_s: float | None,
    data_age_s: float | None,
    waiting: int,
    stale_after_s: float,
) -> tuple[DataState, str]:
    """The state of the shown data, and why it is not live.

    `kafka_silent_s`: seconds since Kafka last answered the API itself; None if it never has.
    `data_age_s`: None if there are no data. `waiting`: records that no stage has processed yet.
    """
    # The worst state comes first: each later one is true only if no earlier one is.
    state, why = pipeline
    if kafka_silent_s is None or kafka_silent_s > stale_after_s:
        silence = (
            "does not answer"
            if kafka_silent_s is None
            else f"has not answered for {lasting(kafka_silent_s)}"
        )
        return DataState.STALLED, "; ".join(filter(None, (f"Kafka {silence}", why)))
    if state is StageState.STALLED:
        return DataState.STALLED, why
    if data_age_s is None:
        return DataState.EMPTY, "; ".join(filter(None, ("nothing is stored yet", why)))
    if state is StageState.UNKNOWN:
        return DataState.UNKNOWN, why
    if data_age_s <= stale_after_s:
        return DataState.LIVE, ""
    if waiting:
        return (
            DataState.BEHIND,
            (
                f"the newest data are {lasting(data_age_s)} old, and {waiting:,} records wait to be"
                " processed"
            ),
        )
    return (
        DataState.QUIET,
        f"the newest data are {lasting(data_age_s)} old, and nothing waits to be processed",
    )


def lasting(seconds: float) -> str:
    """A duration in words.

    >>> lasting(42.3), lasting(600), lasting(7200), lasting(864_000)
    ('42 s', '10 min', '2 h', '10 days')
    """
    for unit, size, minimum in (("days", 86_400, 172_800), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= minimum:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _ordered(named: Iterable[str]) -> list[str]:
    return [*ORDER, *sorted(set(named) - set(ORDER))]


def _stage(name: str, workers: Sequence[Worker], stale_after_s: float, ticks: bool) -> Stage:
    if not workers:
        return Stage(name, StageState.UNKNOWN, "no known worker of it answers")
    unready = [one.address for one in workers if not one.ready]
    lanes = [lane for worker in workers for lane in worker.lanes]
    if unready:
        return Stage(name, StageState.STALLED, f"worker {unready[0]} is not ready")
    if not lanes:
        return Stage(name, StageState.STALLED, "no worker has a lane")
    still = [lane for lane in lanes if lane.age_s is None or lane.age_s > stale_after_s]
    if (not ticks and name != SINK) or (name != TICKING and len(still) < len(lanes)):
        # A lane may have nothing to do while others have: it is stalled only if records wait.
        still = [lane for lane in still if lane.lag > 0 or lane.held_since is not None]
    if still:
        return Stage(name, StageState.STALLED, _reason(still, len(lanes)))
    return Stage(name, StageState.MOVING, "")


def _reason(still: Sequence[Lane], count: int) -> str:
    worst = max(still, key=lambda lane: float("inf") if lane.age_s is None else lane.age_s)
    since = "since its worker started" if worst.age_s is None else f"for {lasting(worst.age_s)}"
    held = "" if worst.held_since is None else ", held by an open transaction of a producer"
    return f"{len(still)} of {count} lanes do not move; {worst.lane} has not {since}{held}"
