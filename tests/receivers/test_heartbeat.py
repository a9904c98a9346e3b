"""A heartbeat comes while alert moves, and stays away when it does not."""

import asyncio
from dataclasses import dataclass, field

import orjson
import pytest

from agents.stages.heartbeat import Heartbeat
from connectors.heartbeat.receiver import PingReceiver
from connectors.http.answers import ReceiverAnswer
from schemas.secrets import Secret
from tests.harness.webhook_server import answers, receiving, resets


@dataclass
class Lanes:
    """Lanes as a worker shows them."""

    lanes: dict[int, object] = field(default_factory=lambda: {0: None, 1: None})
    moves: int = 0
    waiting: list[int] = field(default_factory=list)

    def lanes_with_work(self) -> list[int]:
        """Those that have records before them."""
        return self.waiting


@dataclass
class Listener:
    """Takes every beat."""

    beats: list[bytes] = field(default_factory=list)

    async def deliver(self, notification_id: str, body: bytes, now: int) -> ReceiverAnswer:
        self.beats.append(body)
        return ReceiverAnswer(200)

    async def close(self) -> None:
        """Nothing to let go of."""


async def beats(lanes: Lanes, rounds: int, *, is_moving: bool = False) -> int:
    """How many pings are sent in this many rounds of virtual time."""
    listener, left = Listener(), rounds

    async def sleep(seconds: float) -> None:
        nonlocal left
        lanes.moves += is_moving
        left -= 1
        if left < 0:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Heartbeat(listener, 60, lambda: 1_700_000_000_000_000, sleep).run(lanes)
    return len(listener.beats)


async def test_beats_come_while_lanes_move_or_have_nothing_to_do() -> None:
    """A quiet night is no outage."""
    assert await beats(Lanes(), 5) == 5
    assert await beats(Lanes(waiting=[1]), 5, is_moving=True) == 5


async def test_no_beat_comes_from_lanes_that_stand_before_records() -> None:
    """But for the first look, which has nothing to compare with."""
    assert await beats(Lanes(waiting=[1]), 5) == 1


async def test_one_worker_beats_for_all() -> None:
    """The one that owns lane 0."""
    assert await beats(Lanes(lanes={1: None, 2: None}), 5) == 0


async def test_beat_is_a_plain_post_and_a_failure_is_an_answer() -> None:
    """Services that wait for heartbeats want no signature; what goes wrong raises nothing."""
    async with receiving(answers(200), resets) as server:
        ping = PingReceiver(Secret(server.url), allow_private=True)
        body = orjson.dumps({"type": "heartbeat"})
        first, second = await ping.deliver("m", body, 0), await ping.deliver("m", body, 0)
        await ping.close()
    assert (first.status, second.status, second.fault) == (200, None, "connection lost")
    assert server.received[0].body == body
