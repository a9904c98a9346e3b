"""Whether topics are still the same ones: a topic that was deleted and created again has other
records at the same offsets.
"""

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.client.brokers import librdkafka_config
from streams.lane.program import Stage
from streams.settings import Broker
from streams.state.position import Displaced, Refused, made_again
from streams.topic_names import TopicNames


class TopicIds:
    """Asks the broker for the ids of topics."""

    def __init__(self, broker: Broker, topics: Sequence[str]) -> None:
        self._broker, self._topics = broker, topics
        self._admin: AdminClient | None = None

    async def look(self) -> Mapping[str, str | None]:
        """The id of each topic; None when there is no such topic. Topics are left out where the
        broker has no ids, or does not answer.
        """
        return {} if self._broker.embedded else await asyncio.to_thread(self._look)

    def _look(self) -> dict[str, str | None]:
        self._admin = self._admin or AdminClient(
            {**librdkafka_config(self._broker), "log_level": 0}
        )
        answers = self._admin.describe_topics(
            TopicCollection(list(self._topics)), request_timeout=self._broker.request_timeout_s
        )
        found: dict[str, str | None] = {}
        for topic, answer in answers.items():
            try:
                found[topic] = str(answer.result().topic_id)
            except KafkaException as fault:
                if fault.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    found[topic] = None
        return found


class TopicWatch:
    """Compares the topics of a stage's worker with what it saw before."""

    def __init__(self, stage: Stage, broker: Broker) -> None:
        names = TopicNames(broker.topic_prefix)
        self._stage, self._followed = stage, (names.settings, names.commands)
        self._ids = TopicIds(broker, (stage.topic, stage.state_topic, *self._followed))
        self._first: dict[str, str] = {}
        self._missed: set[str] = set()

    async def look(self, lanes: Mapping[int, str | None]) -> None:
        """Asks the broker, and checks. Raises what `check` raises."""
        self.check(await self._ids.look(), lanes)

    def check(self, ids: Mapping[str, str | None], lanes: Mapping[int, str | None]) -> None:
        """Compares with what was seen first, and the input topic with the ids that the lanes'
        positions count in, by partition. A topic must be missing twice in a row, since brokers
        learn of a new topic one after another.

        Raises:
            Refused: the input or the state topic is another one now, or is missing.
            Displaced: the same of settings or commands; the next start reads them.
        """
        missing = {topic for topic, id in ids.items() if id is None}
        for topic in sorted(missing & self._missed):
            raise Refused(f"topic {topic} is missing; run: sentinel topics create")
        self._missed = missing
        there = {topic: id for topic, id in ids.items() if id is not None}
        for partition, counts_in in sorted(lanes.items()):
            if counts_in is not None and there.get(self._stage.topic, counts_in) != counts_in:
                raise Refused(made_again(self._stage.name, partition))
        for topic, id in there.items():
            if self._first.setdefault(topic, id) == id:
                continue
            if topic == self._stage.state_topic:
                raise Refused(
                    f"the state topic {topic} was deleted and made again under the running worker:"
                    " what lanes knew is no longer in it; if that was meant, run: sentinel lanes"
                    f" reset {self._stage.name} --yes"
                )
            if topic in self._followed:
                raise Displaced(
                    f"topic {topic} was deleted and made again; starting again to read it from its"
                    " begin"
                )
