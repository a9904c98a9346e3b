"""What is said of the stages and of the data: never well about what cannot be seen."""

from typing import Any

import pytest

from topology.api import judging
from topology.api.shapes import DataState, Lane, Stage, StageState, Totals, Worker

STALE_S = 60.0
NOTHING = Totals(0, 0, 0, 0, 0, 0, 0)
MOVING = (StageState.MOVING, "")


def lane(name: str = "detect/0", lag: int = 0, age_s: float | None = 1.0) -> Lane:
    """A lane of this age."""
    return Lane(name, lag, None if age_s is None else 1, age_s)


def worker(stage: str, *lanes: Lane, **fields: Any) -> Worker:
    """A worker that answers and is ready, with one moving lane unless others are given."""
    own: dict[str, Any] = {
        "up": True,
        "ready": True,
        "error": None,
        "lanes": lanes or (lane(f"{stage}/0"),),
    }
    return Worker(
        **{"address": f"http://{stage}", "stage": stage, "totals": NOTHING, **own, **fields}
    )


def state(*workers: Worker) -> tuple[StageState, str]:
    """What all of them are together."""
    return judging.together(judging.stages_of(workers, STALE_S), workers)


def others(stage: str) -> list[Worker]:
    """Moving workers of all other stages."""
    return [worker(one) for one in judging.ORDER if one != stage]


def test_every_stage_moves_when_each_has_moving_lanes() -> None:
    """A lane without work may stand still beside one that moves, but not in detect, whose lanes get
    ticks.
    """
    assert state(*map(worker, judging.ORDER)) == MOVING
    idle = worker("correlate", lane("correlate/0"), lane("correlate/1", 0, 900.0))
    assert state(idle, *others("correlate")) == MOVING


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (worker("detect", lane("detect/0", 0, 61.0)), "detect/0 has not for 61 s"),
        (
            worker("detect", lane(), lane("detect/1", 0, 120.0)),
            "1 of 2 lanes do not move; detect/1 has not for 2 min",
        ),
        (worker("detect", lane("detect/0", 0, None)), "since its worker started"),
        (worker("correlate", lane("correlate/0", 0, 90.0)), "correlate/0 has not for 90 s"),
        (worker("alert", lane("alert/0"), lane("alert/1", 5, 90.0)), "alert/1"),
        (worker("sink", lane("incidents/0", 0, 90.0)), "incidents/0"),
        (worker("alert", ready=False), "is not ready"),
        (worker("detect", ready=True, lanes=()), "no worker has a lane"),
    ],
)
def test_a_stage_that_does_not_move_is_not_said_to_work(broken: Worker, word: str) -> None:
    """Its lag says nothing: it is as old as the last fetch, and 0 when the broker froze after
    it.
    """
    found, why = state(broken, *others(broken.stage))
    assert found is StageState.STALLED
    assert word in why


def test_lanes_without_ticks_may_rest_but_not_while_something_waits() -> None:
    """As after a recorded hour that was played: their age tells nothing then."""
    resting = [worker(one, lane(f"{one}/0", 0, 900.0)) for one in ("detect", "correlate", "alert")]
    sink = worker("sink")
    assert [one.state for one in judging.stages_of([*resting, sink], STALE_S, ticks=False)] == [
        StageState.MOVING
    ] * 4
    resting[0] = worker("detect", lane("detect/0", 3, 900.0))
    assert judging.stages_of([*resting, sink], STALE_S, ticks=False)[0].state is StageState.STALLED


def test_a_worker_that_does_not_answer_and_a_stage_that_nobody_named_are_said() -> None:
    """A frozen worker times out; one that is not in `api.workers` is not known."""
    dead = worker(
        "", up=False, ready=False, error="does not answer within 2 s", lanes=(), address="http://w"
    )
    assert state(*map(worker, judging.ORDER), dead) == (
        StageState.STALLED,
        "worker http://w does not answer within 2 s",
    )
    found, why = state(*others("sink"))
    assert (found, "sink" in why) == (StageState.UNKNOWN, True)
    assert state()[0] is StageState.UNKNOWN


@pytest.mark.parametrize(
    ("stages", "kafka_silent_s", "data_age_s", "waiting", "expected"),
    [
        (MOVING, 1.0, 20.0, 0, DataState.LIVE),
        (MOVING, 1.0, 20.0, 10_000, DataState.LIVE),
        (MOVING, 1.0, 61.0, 0, DataState.QUIET),
        (MOVING, 1.0, 61.0, 5, DataState.BEHIND),
        (MOVING, 1.0, None, 0, DataState.EMPTY),
        (MOVING, 61.0, 20.0, 0, DataState.STALLED),
        (MOVING, None, 20.0, 0, DataState.STALLED),
        ((StageState.STALLED, "detect: frozen"), 1.0, 20.0, 0, DataState.STALLED),
        ((StageState.STALLED, "detect: frozen"), 1.0, None, 0, DataState.STALLED),
        ((StageState.UNKNOWN, "who knows"), 1.0, 20.0, 0, DataState.UNKNOWN),
    ],
)
def test_data_are_live_only_when_they_are_fresh_and_everything_moves(
    stages: tuple[StageState, str],
    kafka_silent_s: float | None,
    data_age_s: float | None,
    waiting: int,
    expected: DataState,
) -> None:
    """And whatever else it is comes with a reason."""
    found, why = judging.judged(stages, kafka_silent_s, data_age_s, waiting, STALE_S)
    assert found is expected
    assert bool(why) == (expected is not DataState.LIVE)


def test_a_tenant_is_not_told_of_addresses() -> None:
    """Only whether a stage works."""
    (told,) = judging.for_tenants(
        [Stage("detect", StageState.STALLED, "http://10.0.0.7 is not ready")]
    )
    assert (told.state, "10.0.0.7" in told.why) == (StageState.STALLED, False)
