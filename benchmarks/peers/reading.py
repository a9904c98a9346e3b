"""Closed windows, read back from the topic that an engine wrote them to."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.peers.checking import UNTOLD
from benchmarks.peers.work import COLUMNS, Int64s, Work
from schemas.records.aggregates import Aggregate
from streams.settings import Broker
from tests.harness.installation import PARTITIONS
from tests.harness.reference.reading import Reader, Stored


def peer_windows(work: Work, broker: Broker, topic: str) -> Int64s:
    """Rows for `checked`: keys are `application|model`, values JSON lists of window start (µs) and
    the numbers in the order of COLUMNS.
    """
    rows: list[Sequence[int]] = []
    for record in _records(broker, topic):
        application, _, model = (record.key or b"").decode().partition("|")
        rows.append((_place(work, application, model), *json.loads(record.value or b"[]")))
    return _array(rows)


def sentinel_windows(work: Work, broker: Broker, topic: str) -> Int64s:
    """Rows for `checked` from Sentinel's Aggregate records, which have percentiles from a sketch
    where others have the sum of squares.
    """
    rows: list[Sequence[int]] = []
    for record in _records(broker, topic):
        told = Aggregate.from_bytes(record.value or b"")
        numbers = (
            told.requests,
            told.latency_sum_us,
            UNTOLD,
            told.latency_max_us,
            told.errors,
            told.cost_nano,
        )
        rows.append(
            (_place(work, told.application, told.model), told.window_start, *map(int, numbers))
        )
    return _array(rows)


def _array(rows: Sequence[Sequence[int]]) -> Int64s:
    return np.array(rows, np.int64).reshape(-1, 2 + len(COLUMNS))


def _place(work: Work, application: str, model: str) -> int:
    return int(application.removeprefix("app-")) * work.population.models + int(
        model.removeprefix("model-")
    )


def _records(broker: Broker, topic: str) -> Iterator[Stored]:
    with Reader(broker) as reader:
        for partition in range(PARTITIONS):
            yield from reader.stored(topic, partition)
