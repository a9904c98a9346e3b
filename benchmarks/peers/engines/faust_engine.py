"""Stock Faust: an Avro codec, an agent, a table with its changelog, memory store, uvloop.

The agent closes windows itself, by event time. Faust's own `on_window_close` goes by the wall
clock, and 0.15.3 calls it for a window in the first of several partitions only. Events are taken
one at a time, since a table writes to the changelog of the partition of the current event, and in
what `stream.take` gives that is the partition of the last one.
"""

import io
import sys

import faust
from fastavro import parse_schema, schemaless_reader
from faust.serializers import codecs

from shared import (
    BROKER,
    COMMIT_S,
    GRACE_US,
    GROUP,
    OUT,
    PARTITIONS,
    PREFIX_BYTES,
    STATE,
    TOPIC,
    WINDOW_US,
    Seen,
    empty,
    fold,
    is_event,
    schemas,
)


class Avro(codecs.Codec):
    """Telemetry in prefix framing."""

    written_with, wanted = map(parse_schema, schemas())

    def _loads(self, record):
        if not is_event(record):
            return None
        return schemaless_reader(io.BytesIO(record[PREFIX_BYTES:]), self.written_with, self.wanted)


codecs.register("telemetry", Avro())
app = faust.App(
    GROUP,
    broker="kafka://" + BROKER,
    store="memory://",
    datadir=STATE,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=COMMIT_S,
    producer_linger=0.02,
    web_enabled=False,
)
source = app.topic(TOPIC, value_serializer="telemetry", key_type=bytes, key_serializer="raw")
out = app.topic(OUT, value_serializer="json", key_type=bytes, key_serializer="raw")
table = app.Table("windows", key_type=str, value_type=list, partitions=PARTITIONS)
seen = Seen()
open_windows = {}
"""Partition to start of window to its keys."""


@app.agent(source)
async def windows(stream):
    """Folds each event into its window, and sends the windows that its time closes."""
    async for record in stream.events():
        event, partition = record.value, record.message.partition
        if event is None:
            continue
        start = event["event_time"] // WINDOW_US * WINDOW_US
        key = event["application"] + "|" + event["model"]
        row = f"{key}|{start}"
        table[row] = fold(list(table.get(row) or empty()), event)
        of_partition = open_windows.setdefault(partition, {})
        if start not in of_partition:
            of_partition[start] = set()
        of_partition[start].add(key)
        oldest = min(of_partition)
        if oldest + WINDOW_US + GRACE_US <= event["event_time"]:
            for closed in of_partition.pop(oldest):
                await out.send(
                    key=closed.encode(), value=[oldest, *table.pop(f"{closed}|{oldest}")]
                )
        seen.add()


sys.argv[1:] = ["--loop", "uvloop", "worker", "-l", "warn", "--without-web"]
app.main()
