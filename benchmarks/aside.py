"""Processes beside a measurement: the sender of events, and the receiver of messages."""

import asyncio
import contextlib
import multiprocessing
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final, TypeAlias

from aiohttp import web
from confluent_kafka import Producer

from streams.settings import Broker
from topology.demo.traces.ordinary import Population, scheduled_in
from topology.demo.traces.outbox import load_config
from topology.demo.traces.playing import Played, send_at_rate

Answering: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""How a receiver answers; a function of a module, since another process runs it."""

_SPAWN: Final = multiprocessing.get_context("spawn")
_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Ordinary events at a rate, every so-manieth of them marked: it breaks a rule, under an
    application that is its alone.
    """

    rate: float
    seconds: float
    marked_every: int
    population: Population


@dataclass(frozen=True, slots=True)
class Received:
    """A message that tells of a marked event."""

    scheduled: int
    """When the marked event should have been sent, µs."""
    at: int
    """When the request's head was read by the receiver, µs, on the same machine's clock."""
    body: str


@contextlib.contextmanager
def sending(broker: Broker, topic: str, traffic: Traffic) -> "Iterator[Future[Played]]":
    """Sends in a process of its own; the future has what was sent. Leaving the context ends the
    process, done or not.
    """
    with ProcessPoolExecutor(1, _SPAWN, initializer=_end_quietly) as pool:
        sent = pool.submit(_send, broker, topic, traffic)
        try:
            yield sent
        finally:
            if not sent.done():
                for process in list(pool._processes.values()):
                    process.terminate()


def _end_quietly() -> None:
    """Ctrl-C goes to the whole group; who started us ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _send(broker: Broker, topic: str, traffic: Traffic) -> Played:
    producer = Producer({**load_config(broker), "log_level": 0})
    return send_at_rate(
        producer,
        topic,
        traffic.rate,
        traffic.seconds,
        traffic.population,
        marked_every=traffic.marked_every,
    )


async def taken(request: web.Request) -> web.StreamResponse:
    """204, whatever came."""
    return web.Response(status=204)


@dataclass(slots=True)
class MessageReceiver:
    """A receiver that notes when it got what it answered with 2xx."""

    url: str
    pid: int
    _messages: Connection

    def received(self) -> list[Received]:
        """What came since the last call."""
        self._messages.send("received")
        answer: list[Received] = self._messages.recv()
        return answer


@contextlib.contextmanager
def receiving(answering: Answering = taken) -> Iterator[MessageReceiver]:
    """Receives in a process of its own, on loopback, at every path."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_receive, args=(theirs, answering), daemon=True)
    process.start()
    try:
        if not ours.poll(_START_S):
            raise TimeoutError("the receiver of messages does not start")
        yield MessageReceiver(ours.recv(), process.pid or 0, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _receive(messages: Connection, answering: Answering) -> None:
    _end_quietly()
    asyncio.run(_serve(messages, answering))


async def _serve(messages: Connection, answering: Answering) -> None:
    came: list[Received] = []

    async def take(request: web.Request) -> web.StreamResponse:
        at = time.time_ns() // 1000
        body = (await request.read()).decode()
        answer = await answering(request)
        scheduled = scheduled_in(body)
        if scheduled is not None and 200 <= answer.status < 300:
            came.append(Received(scheduled, at, body))
        return answer

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    messages.send(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    while True:
        await asyncio.to_thread(messages.recv)
        # The list is swapped before it is sent: what comes meanwhile is told the next time.
        told, came[:] = list(came), []
        messages.send(told)
