"""Whether a consumer still fetches: aiokafka tells those who ask for records nothing of it when a task of its own has ended."""

from aiokafka import AIOKafkaConsumer

from streams.position import Displaced


def check_fetching(consumer: AIOKafkaConsumer) -> None:
    """Raises what the client's own tasks failed with, the coordinator's and the fetcher's: with a dead one it would wait for ever, alive.

    Raises:
        Displaced: its fetcher has just ended; a new client fetches again.
    """
    if consumer._coordinator is not None:
        consumer._coordinator.check_errors()
    if consumer._fetcher is None:
        return
    fetching = consumer._fetcher.error_future
    if fetching.done():
        if not fetching.cancelled():
            fetching.result()
        raise Displaced("the Kafka client fetches no longer; starting again")
