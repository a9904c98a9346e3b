"""kafka-python with fastavro: its own murmur2 for keys, random without one, not compressed."""

import json
import os
import sys
from io import BytesIO

import fastavro
from kafka import KafkaProducer

_FRAME = bytes([0, 0, 0, 0, 1])


def main() -> None:
    """Sends each line of standard input, and says where it is stored."""
    topic, schema = (
        os.environ["FOREIGN_TOPIC"],
        fastavro.schema.load_schema(os.environ["FOREIGN_SCHEMA"]),
    )
    producer = KafkaProducer(
        bootstrap_servers=os.environ["FOREIGN_BROKER"], acks="all", linger_ms=5
    )
    producer.partitions_for(topic)

    def failed(error):
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)

    def told(stored):
        sys.stdout.write(f"{stored.partition} {stored.offset}\n")

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        read = json.loads(line)
        body = BytesIO()
        fastavro.schemaless_writer(body, schema, read["event"])
        key = None if read["key"] is None else read["key"].encode()
        producer.send(topic, _FRAME + body.getvalue(), key).add_callback(told).add_errback(failed)
    producer.flush()
    producer.close()


main()
