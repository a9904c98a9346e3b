"""A stream whose buffer is full holds records back for as long as it is full, and no longer."""

from pathlib import Path

import faust
import pytest
from faust.transport.drivers.aiokafka import Consumer as StockConsumer
from faust.types import TP

from streams.faust.app import LaneApp
from streams.faust.consumer import LaneConsumer
from streams.faust.worker import build
from topology.settings.installation import Settings
from topology.stages.build import worker_of

LANES = {TP("sentinel.telemetry", partition) for partition in range(4)}


async def consumer_of(app: LaneApp) -> LaneConsumer:
    """Its consumer, not connected, with all lanes active."""
    app.finalize()
    consumer = app.consumer
    assert isinstance(consumer, LaneConsumer)
    consumer._set_active_tps(LANES)
    return consumer


async def test_a_full_buffer_takes_no_lane_out_of_the_next_fetch() -> None:
    """With stock, four full lanes leave nothing to fetch, and then the consumer sleeps a whole
    second, whoever has room again.
    """
    consumer = await consumer_of(build(worker_of("detect", Settings())))
    for lane in LANES:
        consumer.on_buffer_full(lane)
    assert consumer._get_active_partitions() == LANES
    for lane in LANES:
        StockConsumer.on_buffer_full(consumer, lane)
    assert consumer._get_active_partitions() == set()


def test_a_worker_leaves_no_folders_where_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stock makes some for tables, which we do not have."""
    monkeypatch.chdir(tmp_path)
    app = build(worker_of("detect", Settings()))
    app.finalize()
    app._create_directories()
    assert list(tmp_path.iterdir()) == []
    faust.App._create_directories(app)
    assert list(tmp_path.iterdir()) != []
