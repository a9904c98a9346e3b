"""Quix Streams on the copy that is keyed by application and model, so that no repartition topic is
needed.

Its own AvroDeserializer, asking for six fields; a tumbling window with one reducer for all six
numbers, which is faster than an aggregator for each; `final` by partition, so that a key that falls
silent closes too. RocksDB with a changelog topic is what it does by default, at least once.
"""

from datetime import timedelta

from quixstreams import Application
from quixstreams.dataframe.windows import Reduce
from quixstreams.models.serializers.avro import AvroDeserializer

from shared import (
    BROKER,
    COMMIT_S,
    GRACE_US,
    GROUP,
    OUT,
    PREFIX_BYTES,
    STATE,
    TOPIC,
    WINDOW_US,
    Seen,
    empty,
    fold,
    schemas,
)

seen = Seen()


class Framed(AvroDeserializer):
    """Records with the five bytes before the body; the schema is given, so no registry is asked."""

    def __call__(self, value, ctx):
        seen.add()
        return super().__call__(value[PREFIX_BYTES:], ctx)


written_with, wanted = schemas()
app = Application(
    broker_address=BROKER,
    consumer_group=GROUP,
    auto_offset_reset="earliest",
    commit_interval=COMMIT_S,
    state_dir=STATE,
    loglevel="WARNING",
    consumer_extra_config={"fetch.queue.backoff.ms": 5},
)
source = app.topic(
    TOPIC,
    value_deserializer=Framed(schema=written_with, reader_schema=wanted),
    key_deserializer="str",
    timestamp_extractor=lambda value, headers, timestamp, kind: value["event_time"] // 1000,
)
out = app.topic(OUT, value_serializer="json", key_serializer="str")
windows = (
    app.dataframe(source)
    .tumbling_window(
        timedelta(microseconds=WINDOW_US),
        grace_ms=timedelta(microseconds=GRACE_US),
        on_late=lambda *late: False,
    )
    .agg(value=Reduce(reducer=fold, initializer=lambda event: fold(empty(), event)))
    .final(closing_strategy="partition")
)
windows.apply(lambda closed: [closed["start"] * 1000, *closed["value"]]).to_topic(out)
app.run()
