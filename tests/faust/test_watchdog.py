"""A worker that stands still ends, and says where it stood."""

import sys
import threading
import uuid
from pathlib import Path

import pytest

from streams.admin.topics import create, specs
from streams.exit_status import AGAIN
from streams.process import watchdog
from streams.process.watchdog import MOVING, READY, Stalled, Watchdog
from tests.faust.hanging import WHERE
from tests.harness.telemetry_log import good
from tests.harness.worker import Installation

SAID = {
    "agent": "lanes [0] have something to do and did not move",
    "restore": "the worker is not assigned and recovered",
    "loop": "the event loop does not run",
    "fetch": "lanes [0] have something to do and did not move",
}


@pytest.mark.parametrize("where", WHERE)
def test_a_worker_that_stands_still_ends_to_be_started_again(
    kafka: str, tmp_path: Path, where: str
) -> None:
    """Whether one coroutine waits for ever, no lane is restored, the whole loop is blocked, or the
    client has never fetched; without anybody who asks for `/live`.
    """
    installation = Installation(kafka, f"hang{uuid.uuid4().hex[:8]}.", tmp_path, partitions=1)
    create(installation.admin, list(specs(installation.names, installation.lanes)), timeout_s=300)
    for _ in range(3):
        installation.send(installation.names.telemetry, 0, [good(0, 0).value])
    with installation.worker(
        "detect", sys.executable, "-m", "tests.faust.hanging", where
    ) as worker:
        assert worker.ends() == AGAIN, worker.said()
        assert SAID[where] in worker.said()
        assert "hanging.py" in worker.said()


class Standing:
    """A worker as a watchdog sees it."""

    def __init__(self) -> None:
        self.moves, self.ready, self.lag = 0, True, {3: 100}
        self.ended: list[BaseException] = []
        self.dog = Watchdog(self, lambda: self.ready, end=self.ended.append)

    def lanes_with_work(self) -> dict[int, int]:
        return self.lag

    def looks(self, count: int, beats: bool = True) -> str | None:
        """What `/live` says after this many checks."""
        for _ in range(count):
            if beats:
                self.dog.beat()
            self.dog.look()
        return self.dog.stalled()


def test_a_lane_with_records_that_does_not_move_is_not_live_and_then_ends() -> None:
    """It is live again as soon as it moves."""
    worker = Standing()
    assert worker.looks(MOVING) is None
    assert worker.looks(1) == f"lanes [3] have something to do and did not move for {MOVING} s"
    worker.lag = {3: 101}
    assert worker.looks(MOVING) is None
    assert worker.ended == []
    worker.looks(MOVING + 1)
    assert [type(error) for error in worker.ended] == [Stalled]


def test_one_lane_that_stands_is_seen_while_others_move() -> None:
    """A worker whose other lanes work is no better for this one."""
    worker = Standing()
    for position in range(MOVING + 1):
        worker.moves += 1
        worker.lag = {3: 100, 4: position}
        told = worker.looks(1)
    assert told == f"lanes [3] have something to do and did not move for {MOVING} s"


def test_a_busy_loop_hides_no_lane_that_stands() -> None:
    """Looks at which the loop was busy count too."""
    worker = Standing()
    told = None
    for _ in range(MOVING):
        told = worker.looks(3) or worker.looks(1, beats=False)
    assert told is not None
    assert told.startswith("lanes [3]")


def test_it_ends_even_when_it_cannot_say_where_it_stood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says is a help; that it ends is the promise."""

    def fails(dog: Watchdog) -> None:
        raise TypeError("no such line")

    monkeypatch.setattr(Watchdog, "_say_where", fails)
    worker = Standing()
    worker.looks(2 * MOVING + 1)
    assert [type(error) for error in worker.ended] == [Stalled]
    assert "no such line" in capsys.readouterr().err


def test_it_ends_even_when_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe blocks its writer."""
    blocked = threading.Event()
    monkeypatch.setattr(Watchdog, "_say_where", lambda _: blocked.wait(30))
    monkeypatch.setattr(watchdog, "SAID_WITHIN_S", 0.05)
    worker = Standing()
    worker.looks(2 * MOVING + 1)
    assert [type(error) for error in worker.ended] == [Stalled]
    blocked.set()


def test_a_lane_without_records_may_stand_for_ever_but_not_without_its_event_loop() -> None:
    """Nothing to do is no reason to end."""
    worker = Standing()
    worker.lag = {}
    assert worker.looks(3 * READY) is None
    assert worker.looks(MOVING + 2, beats=False) is not None


def test_a_rebalance_may_take_as_long_as_a_group_waits_for_a_stuck_member() -> None:
    """And what is being restored counts as moving."""
    worker = Standing()
    worker.ready = False
    assert worker.looks(READY) is None
    worker.moves += 1
    assert worker.looks(READY) is None
    assert worker.looks(1) == f"the worker is not assigned and recovered for {READY} s"
    worker.ready = True
    assert worker.looks(1) is None
    assert worker.ended == []
