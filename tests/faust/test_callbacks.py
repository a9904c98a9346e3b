"""Our callbacks that Faust calls end the process on an exception that nobody foresaw: tested in the
app itself; `test_endings` starts real workers for what only a client can show.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from faust.types import TP

from streams.exit_status import ends_process
from streams.faust import worker
from streams.faust.app import LaneApp
from streams.faust.worker import build
from streams.lane.lane_set import LaneSet
from streams.lane.outbox import Outbox
from streams.lane.producing import KafkaSender
from tests.faust.raising import Raised, break_it
from topology.settings.installation import Settings
from topology.stages.build import worker_of

STAGES = ("detect", "correlate", "alert")


async def _nothing() -> None:
    """Any coroutine function."""


def is_guarded(function: Callable[..., Any]) -> bool:
    """Whether `ends_process` made it."""
    code: object = getattr(function, "__code__", None)
    return code is ends_process(_nothing).__code__


def task(name: str) -> Callable[[LaneApp], Awaitable[Any]]:
    """Runs one task of the app."""

    def run(app: LaneApp) -> Awaitable[Any]:
        (found,) = [each for each in app._app_tasks if each.__name__.endswith(f"-{name}")]
        running: Awaitable[Any] = found()
        return running

    return run


async def start(app: LaneApp) -> None:
    """Faust's hook, after which nothing goes on."""
    try:
        await app.on_start()
    finally:
        surroundings: Any = app._surroundings
        await surroundings.runtime.close()


CALLBACKS: dict[str, tuple[str, type, str, Callable[[LaneApp], Awaitable[Any]]]] = {
    "start": ("detect", KafkaSender, "start", start),
    "restore": ("detect", LaneSet, "assign", lambda app: app.restore_lanes([0])),
    "suspend": (
        "detect",
        LaneSet,
        "suspend",
        lambda app: app.on_partitions_revoked.send({TP(app.lane_topic, 0)}),
    ),
    "flush": ("detect", LaneSet, "flush_due", task("flush")),
    "tick": ("detect", LaneSet, "idle_partitions", task("tick")),
    "companion": ("alert", Outbox, "run", task("companion")),
}
"""Stage, whose method raises, and what Faust calls."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Errors that would have ended the process."""
    errors: list[BaseException] = []
    monkeypatch.setattr("streams.exit_status.end_process", errors.append)
    monkeypatch.setattr("streams.faust.app.end_process", errors.append)
    return errors


def app_of(stage: str) -> LaneApp:
    """An app that connects to nobody."""
    return build(worker_of(stage, Settings()))


@pytest.mark.parametrize("stage", STAGES)
async def test_every_task_agent_and_receiver_of_the_app_is_guarded(stage: str) -> None:
    """Whatever is added to it: it is found by walking the app."""
    app = app_of(stage)
    called = {
        "tasks": [inspect.unwrap(each, stop=is_guarded) for each in app._app_tasks],
        "agents": [agent.fun for agent in app.agents.values()],
        "receivers": [
            receiver
            for signal in (app.on_partitions_assigned, app.on_partitions_revoked)
            for receiver in signal.iter_receivers(app)
        ],
    }
    assert {kind: len(found) >= 1 for kind, found in called.items()} == dict.fromkeys(called, True)
    found = [one for each in called.values() for one in each]
    assert [one.__qualname__ for one in found if not is_guarded(one)] == []


@pytest.mark.parametrize("where", CALLBACKS)
async def test_an_exception_of_a_callback_ends_the_process(
    where: str, ended: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though Faust would gather and forget it."""
    stage, kind, name, call = CALLBACKS[where]
    stock = getattr(kind, name)
    monkeypatch.setattr(kind, name, stock)
    monkeypatch.setattr(worker, "_FLUSH_CHECK_S", 0.01)
    break_it(where)
    app = app_of(stage)
    await asyncio.gather(call(app), return_exceptions=True)
    assert len(ended) == 1
    assert repr(Raised(f"in {where}")) in repr(ended[0])
