"""How far a consumer group is behind, for a producer that must not run away from it."""

import contextlib
import time
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.client.brokers import librdkafka_config
from streams.settings import Broker

MAX_BEHIND: Final = 4000
"""Records a partition of the embedded broker may be ahead of its reader: it keeps 5 MB, and an
event takes some 600 bytes.
"""

_LOOK_EVERY_S: Final = 0.2


class Pressure:
    """Checks now and then how many records of a topic a group has not processed yet. Usable while
    entered.
    """

    def __init__(self, broker: Broker, topic: str, group: str) -> None:
        self._topic = topic
        self._consumer = Consumer({**librdkafka_config(broker), "group.id": group, "log_level": 0})
        self._looked_at = 0.0
        self._high = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def too_high(self, sent: int) -> bool:
        """Whether some partition is more than MAX_BEHIND records ahead of what the group has
        committed; the `hold` of the players. Without an answer the last result counts.
        """
        if time.monotonic() - self._looked_at > _LOOK_EVERY_S:
            with contextlib.suppress(KafkaException):
                self._high = self._lag() > MAX_BEHIND
            self._looked_at = time.monotonic()
        return self._high

    def _lag(self) -> int:
        partitions = (
            self._consumer.list_topics(self._topic, timeout=2).topics[self._topic].partitions
        )
        parts = [TopicPartition(self._topic, partition) for partition in partitions]
        behind = 0
        for committed in self._consumer.committed(parts, timeout=2):
            low, high = self._consumer.get_watermark_offsets(committed, timeout=2)
            behind = max(behind, high - max(committed.offset, low))
        return behind
