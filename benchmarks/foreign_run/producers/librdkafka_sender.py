"""librdkafka with fastavro: CRC-32 for keys, random partitions without, lz4."""

import json
import os
import sys
from io import BytesIO

import fastavro
from confluent_kafka import KafkaError, Message, Producer

_FRAME = bytes([0, 0, 0, 0, 1])


def main() -> None:
    """Sends each line of standard input, and says where it is stored."""
    topic, schema = (
        os.environ["FOREIGN_TOPIC"],
        fastavro.schema.load_schema(os.environ["FOREIGN_SCHEMA"]),
    )
    producer = Producer(
        {
            "bootstrap.servers": os.environ["FOREIGN_BROKER"],
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
        }
    )

    def told(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        sys.stdout.write(f"{message.partition()} {message.offset()}\n")

    producer.list_topics(topic, 60)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        read = json.loads(line)
        body = BytesIO()
        fastavro.schemaless_writer(body, schema, read["event"])
        while True:
            try:
                producer.produce(topic, _FRAME + body.getvalue(), read["key"], on_delivery=told)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


main()
