"""Effects run beside their lanes until an outcome is known, and each outcome is noted once."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from streams.lane.effects import Effect, RetryAt
from streams.lane.outbox import Outbox
from streams.lane.outgoing import Step
from tests.streams.fakes import Counting


@dataclass
class Program(Counting):
    """A lane program that remembers the outcomes of its effects."""

    decided: dict[str, Effect] = field(default_factory=dict)
    outcomes: list[tuple[str, object, int]] = field(default_factory=list)

    def pending(self) -> list[Effect]:
        return list(self.decided.values())

    def is_pending(self, effect_id: str) -> bool:
        return effect_id in self.decided

    def ended(self, effect: Effect, outcome: object, attempt: int) -> Step:
        del self.decided[effect.id]
        self.outcomes.append((effect.id, outcome, attempt))
        return Step()

    __hash__ = object.__hash__


class Lanes:
    """The lanes of a worker."""

    def __init__(self, *programs: Any) -> None:
        self.lanes = {one.partition: type("Owned", (), {"program": one})() for one in programs}
        self.effects: asyncio.Queue[tuple[int, Any, Effect]] = asyncio.Queue()

    async def run_in_lane(self, partition: int, work: Callable[[Any], Step], program: Any) -> None:
        work(program)


class Calls:
    """A kind whose effects are answered by the test: `payload` is the name of the queue."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.begun, self.is_closed = list(answers), list[str](), False
        self.hangs = asyncio.Event()

    def queue(self, effect: Effect) -> str:
        return str(effect.payload)

    async def attempt(self, effect: Effect, attempt: int) -> object | RetryAt:
        self.begun.append(effect.id)
        if effect.payload == "hangs":
            await self.hangs.wait()
        return self.answers.pop(0) if self.answers else "done"

    async def close(self) -> None:
        self.is_closed = True


def effect(name: str, queue: str = "a") -> Effect:
    """An effect of the kind that tests have."""
    return Effect(name, "call", queue, 0)


@asynccontextmanager
async def running(lanes: Lanes, calls: Calls) -> AsyncIterator[None]:
    """An outbox that runs meanwhile, on a clock that stands at 0."""
    run = asyncio.create_task(Outbox({"call": calls}, lambda: 0).run(cast("Any", lanes)))
    try:
        yield
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
    assert calls.is_closed


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is watched is no task of the test
            await asyncio.sleep(0.01)


async def test_an_effect_is_tried_until_its_outcome_is_known_and_noted() -> None:
    """Retries come from the kind; the outbox only waits and counts."""
    lane = Program(0, decided={"e": effect("e")})
    lanes, calls = Lanes(lane), Calls(RetryAt(0, "busy", ""), RetryAt(1_000, "busy", ""), "done")
    async with running(lanes, calls):
        await until(lambda: bool(lane.outcomes))
    assert (lane.outcomes, calls.begun) == ([("e", "done", 3)], ["e"] * 3)


async def test_an_effect_that_comes_twice_is_run_once() -> None:
    """From its step, and from the look for what its lane brought along; also when it has ended."""
    lane = Program(0, decided={"e": effect("e")})
    lanes, calls = Lanes(lane), Calls()
    for _ in range(3):
        lanes.effects.put_nowait((0, lane, effect("e")))
    async with running(lanes, calls):
        await until(lambda: bool(lane.outcomes))
        lanes.effects.put_nowait((0, lane, effect("e")))
        await until(lanes.effects.empty)
        await asyncio.sleep(0.05)
    assert (lane.outcomes, calls.begun) == ([("e", "done", 1)], ["e"])


async def test_a_lane_that_went_is_tried_no_further() -> None:
    """Its next owner runs the effect again."""
    lane = Program(0, decided={"e": effect("e")})
    lanes, calls = Lanes(lane), Calls(RetryAt(200_000, "busy", ""))
    async with running(lanes, calls):
        await until(lambda: bool(calls.begun))
        lanes.lanes.clear()
        await asyncio.sleep(0.4)
    assert (lane.outcomes, calls.begun) == ([], ["e"])


async def test_the_state_of_a_lane_that_was_revoked_is_freed() -> None:
    """Its next owner may be another worker, so a later lane need not take its place here."""
    lane = Program(0, decided={"e": effect("e")})
    lanes, calls = Lanes(lane), Calls()
    gone = weakref.ref(lane)
    async with running(lanes, calls):
        await until(lambda: bool(calls.begun) and lanes.effects.empty())
        lanes.lanes.clear()
        del lane
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None


async def test_a_queue_that_hangs_holds_up_no_other() -> None:
    """However many of its effects wait."""
    names = [f"h{number}" for number in range(100)]
    lane = Program(0, decided={name: effect(name, "hangs") for name in names})
    lanes, calls = Lanes(lane), Calls()
    async with running(lanes, calls):
        await until(lambda: len(calls.begun) == 64)
        lane.decided["good"] = effect("good")
        lanes.effects.put_nowait((0, lane, effect("good")))
        await until(lambda: bool(lane.outcomes))
        assert lane.outcomes == [("good", "done", 1)]
        calls.hangs.set()
        await until(lambda: len(lane.outcomes) == 101)


async def test_a_program_that_cannot_note_outcomes_ends_the_worker() -> None:
    """A bug, not a lost effect."""
    lane = Counting(0)
    lanes, calls = Lanes(lane), Calls()
    lanes.effects.put_nowait((0, lane, effect("e")))
    with pytest.raises(ExceptionGroup) as raised:
        await Outbox({"call": calls}, lambda: 0).run(cast("Any", lanes))
    assert raised.group_contains(TypeError)
