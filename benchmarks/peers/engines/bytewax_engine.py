"""Bytewax: KafkaSource, fastavro asking for six fields, an event clock with a tumbling fold,
recovery in SQLite.

Run as `python -m bytewax.run bytewax_engine.py:flow -r STATE -s SECONDS`. It has no changelog
topic: it keeps its state in snapshots in SQLite files.
"""

import io
import json
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from fastavro import parse_schema, schemaless_reader

from shared import (
    BROKER,
    GRACE_US,
    OUT,
    PREFIX_BYTES,
    TOPIC,
    WINDOW_US,
    Seen,
    empty,
    fold,
    is_event,
    schemas,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WRITTEN_WITH, WANTED = map(parse_schema, schemas())
seen = Seen()


def decode(message):
    """The key, and the event; None for what is none."""
    if not is_event(message.value):
        return None
    seen.add()
    event = schemaless_reader(io.BytesIO(message.value[PREFIX_BYTES:]), WRITTEN_WITH, WANTED)
    return event["application"] + "|" + event["model"], event


def merge(one, other):
    """Never called on tumbling windows."""
    return [
        *(a + b for a, b in zip(one[:3], other[:3], strict=True)),
        max(one[3], other[3]),
        one[4] + other[4],
        one[5] + other[5],
    ]


def message(keyed):
    """A closed window as a record."""
    key, (window, numbers) = keyed
    return KafkaSinkMessage(key.encode(), json.dumps([window * WINDOW_US, *numbers]).encode())


flow = Dataflow("peer")
source = op.input("in", flow, KafkaSource([BROKER], [TOPIC], batch_size=1000))
clock = win.EventClock(
    lambda event: datetime.fromtimestamp(event["event_time"] / 1e6, UTC),
    wait_for_system_duration=timedelta(microseconds=GRACE_US),
    # By default the wall clock moves event time on too, so that a backlog that is read slower than
    # it was written counts as late.
    now_getter=lambda: EPOCH,
    to_system_utc=lambda moment: None,
)
windower = win.TumblingWindower(length=timedelta(microseconds=WINDOW_US), align_to=EPOCH)
folded = win.fold_window(
    "windows",
    op.filter_map("decode", source, decode),
    clock,
    windower,
    empty,
    fold,
    merge,
    ordered=False,
)
op.output("out", op.map("message", folded.down, message), KafkaSink([BROKER], OUT))
