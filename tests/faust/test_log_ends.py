"""What a running worker does about a lane that stands behind the end of its log."""

import asyncio
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

from streams import metrics
from streams.faust.app import LaneApp, _ends
from streams.faust.worker import _check, build
from streams.state.position import Displaced
from topology.settings.installation import Settings
from topology.stages.build import worker_of


@pytest.fixture(autouse=True)
def _forget_the_lane() -> Iterator[None]:
    """Metrics are the process's; other tests read them."""
    yield
    metrics.forget_lane("detect", 0)
    metrics.ENDS_ASKED.set(0)


class Told(LaneApp):
    """A worker whose lane 0 stands at 100, and what its client is told."""

    fetched_end: int | None
    answer: Mapping[int, int] | Exception

    @staticmethod
    def made(fetched_end: int | None, answer: Mapping[int, int] | Exception) -> "Told":
        app = build(worker_of("detect", Settings()))
        app.__class__ = Told
        told = cast(Told, app)
        told.fetched_end, told.answer = fetched_end, answer
        lane = SimpleNamespace(position=SimpleNamespace(offset=100), lag=0)
        told.lane_set = cast(Any, SimpleNamespace(lanes={0: lane}, stage=app.lane_set.stage))
        return told

    async def check_group(self) -> None:
        """It has none."""

    def log_end(self, partition: int) -> int | None:
        """As the last fetch told."""
        return self.fetched_end

    async def _in_thread(self, look: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict(self.answer)


async def look(app: LaneApp) -> None:
    """Once."""
    await _check(app)


async def test_an_end_that_a_fetch_told_is_asked_for_again() -> None:
    """It may be a little older than the records that came with it: what was appended between is
    read, and not told.
    """
    app = Told.made(fetched_end=99, answer={0: 100})
    await look(app)
    assert app.ends_doubted.is_set()
    await app.look_at_ends()
    assert not app.ends_doubted.is_set()


async def test_a_log_that_ends_before_the_lane_ends_the_worker() -> None:
    """It was cut, or created again: a fresh start finds out which."""
    with pytest.raises(Displaced, match="detect/0: its log ends before its position"):
        await Told.made(fetched_end=99, answer={0: 99}).look_at_ends()


@pytest.mark.parametrize(("fetched_end", "lag"), [(None, 50), (-1, 50), (120, 50), (170, 70)])
async def test_a_lane_that_was_never_fetched_has_what_the_broker_tells_before_it(
    fetched_end: int | None, lag: int
) -> None:
    """After a rebalance the client knows no end until its first fetch, and one that never comes is
    nobody's standstill.
    """
    app = Told.made(fetched_end=fetched_end, answer={0: 150})
    await app.look_at_ends()
    await look(app)
    assert app.lane_set.lanes[0].lag == lag


async def test_a_broker_that_is_away_says_nothing_of_an_end() -> None:
    """What it told before is older than what the lane has taken since."""
    app = Told.made(fetched_end=99, answer=KafkaConnectionError())
    app.ends = {0: 50}
    await app.look_at_ends()
    assert metrics.ENDS_ASKED._value.get() == 0
    await Told.made(fetched_end=99, answer={0: 150}).look_at_ends()
    assert metrics.ENDS_ASKED._value.get() > 1_700_000_000


async def test_an_end_is_compared_with_where_the_lane_stood_before() -> None:
    """Records that come while the broker is asked are no loss."""
    app = Told.made(fetched_end=100, answer={0: 100})
    answered, stock = asyncio.Event(), app._in_thread

    async def slowly(look: Any) -> Any:
        app.lane_set.lanes[0].position = SimpleNamespace(offset=200)
        answered.set()
        return await stock(look)

    app._in_thread = slowly  # type: ignore[method-assign,assignment]
    await app.look_at_ends()
    assert answered.is_set()


async def test_a_client_that_has_not_started_yet_is_not_asked() -> None:
    """Beside a broker that stands still a start takes longer than it takes until somebody asks:
    that is no bug.
    """
    client = AIOKafkaConsumer()
    assert await _ends("t", [0], client) == {}
    await client.stop()
