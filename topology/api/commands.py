"""The topic of commands, as the API writes and reads it: no request waits for a thread that another
one holds.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from aiohttp import web
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.records.control import Command
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.command_log import addressed
from streams.settings import Broker
from streams.topic_names import TopicNames
from topology.api.apart import apart
from topology.api.problems import Problem
from topology.control import commanding

KEPT_S: Final = 2.0
"""Seconds for which one reading of the topic answers all requests: every open page asks for
silences.
"""
ACCEPT_S: Final = 10.0
"""Seconds for the broker to accept a command; after that it is given up and never sent."""
READ_S: Final = 5.0
"""Seconds for the list of silences. The reading continues, so a later request may find it done."""
_POLL_S: Final = 0.1
_GRACE_S: Final = 5.0
_AGAIN: Final = {"Retry-After": "5"}


class Commands:
    """The topic of commands. `waiting`: commands of one credential that may wait at once."""

    def __init__(self, broker: Broker, key: Secret, waiting: int = 16) -> None:
        self.broker, self.key = broker, key
        self._max_waiting = waiting
        self._waiting: Counter[str | None] = Counter()
        self._sender: _Sender | None = None
        self._writes = 0
        self._known: tuple[float, int, commanding.Requests | Problem] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def opened(self, app: web.Application) -> AsyncIterator[None]:
        """While the app runs."""
        yield
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def publish(self, command: Command, asker: str | None) -> None:
        """Returns when it is durable. `asker`: the tenant whose token it came with; None for
        operators. Raises Problem.
        """
        if self._waiting[asker] >= self._max_waiting:
            why = (
                f"{self._max_waiting} commands wait for Kafka already (api.commands_waiting); try"
                " again"
            )
            raise Problem(503, why, headers=_AGAIN)
        self._waiting[asker] += 1
        try:
            if self._sender is None:
                self._sender = _Sender(self.broker, self.key)
            await self._sender.send(command)
        finally:
            self._waiting[asker] -= 1
            # A reading that is under way may have missed it, so its result is stale at once.
            self._writes += 1

    async def requests(self) -> commanding.Requests:
        """Commands of people of all tenants, with their results. Raises Problem."""
        known = self._fresh()
        try:
            async with asyncio.timeout(READ_S):
                # Again and again: a command may have been written during the reading.
                while known is None:
                    if self._reading is None or self._reading.done():
                        self._reading = asyncio.create_task(self._read())
                    # Shielded: other requests wait for the same reading.
                    await asyncio.shield(self._reading)
                    known = self._fresh()
        except TimeoutError:
            raise Problem(
                503, f"Kafka did not answer within {READ_S:g} s; try again", headers=_AGAIN
            ) from None
        if isinstance(known, Problem):
            raise known
        return known

    def _fresh(self) -> commanding.Requests | Problem | None:
        if self._known is None:
            return None
        at, writes, found = self._known
        return found if writes == self._writes and time.monotonic() - at <= KEPT_S else None

    async def _read(self) -> None:
        writes = self._writes
        found: commanding.Requests | Problem
        try:
            now = time.time_ns() // 1000
            found = await apart(
                lambda: commanding.requests(self.broker, self.key, now), "sentinel-silences"
            )
        except KafkaException as fault:
            # Kept for all waiting requests, or each would wait for the broker in turn.
            found = Problem(503, f"Kafka does not answer: {fault.args[0]}", headers=_AGAIN)
        self._known = time.monotonic(), writes, found


COMMANDS: Final = web.AppKey("commands", Commands)


class _Sender:
    """One producer for all commands; a waiting request holds no thread."""

    def __init__(self, broker: Broker, key: Secret) -> None:
        self._names, self._key = TopicNames(broker.topic_prefix), key
        self._producer = Producer(
            {
                **producer_config(broker),
                "delivery.timeout.ms": round(ACCEPT_S * 1000),
                "log_level": 0,
            }
        )
        self._stop = threading.Event()
        threading.Thread(target=self._poll, name="sentinel-commands", daemon=True).start()

    async def send(self, command: Command) -> None:
        """Returns when it is durable. Raises Problem."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[KafkaError | None] = loop.create_future()

        def done(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(partial(_settle, outcome, error))

        record = addressed(self._names, command, self._key)
        try:
            self._producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                on_delivery=done,
            )
        except (BufferError, KafkaException) as fault:
            raise Problem(
                503, f"the command was not accepted: {fault}; try again", headers=_AGAIN
            ) from fault
        try:
            # The producer's own timeout ends first; this is for a broken callback.
            async with asyncio.timeout(ACCEPT_S + _GRACE_S):
                error = await outcome
        except TimeoutError:
            raise Problem(
                503,
                "the command was not accepted: Kafka does not answer; try again",
                headers=_AGAIN,
            ) from None
        if error is not None:
            raise Problem(
                503, f"the command was not accepted: {error.str()}; try again", headers=_AGAIN
            )

    def stop(self) -> None:
        """Stop polling."""
        self._stop.set()

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_S)


def _settle(outcome: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not outcome.done():
        outcome.set_result(error)
