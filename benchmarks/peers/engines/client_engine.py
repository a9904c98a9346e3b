"""The bare client: confluent_kafka fetches the records in lists of up to 10,000 and nothing is done
with them.
"""

import os
import signal

from confluent_kafka import Consumer, TopicPartition

from shared import BROKER, GROUP, PARTITIONS, TOPIC, Seen

# The default backoff, a second, lets the client idle once its queue was full.
consumer = Consumer(
    {
        "bootstrap.servers": BROKER,
        "group.id": GROUP,
        "enable.auto.commit": False,
        "queued.min.messages": 200_000,
        "fetch.queue.backoff.ms": 5,
        "log_level": 0,
    }
)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
seen = Seen()
while True:
    if messages := consumer.consume(10_000, 1.0):
        seen.add(len(messages))
