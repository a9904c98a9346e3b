"""The parts of the demo that stand outside the stages: its receiver, its memory reading, its back
pressure.
"""

import asyncio
import json
import os
import subprocess
import sys
import time

import aiohttp
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from standardwebhooks.webhooks import Webhook

from streams.client.brokers import producer_config
from streams.settings import Broker
from topology.control import pressure
from topology.control.pressure import Pressure
from topology.demo.receiver import Message, WebhookInbox
from topology.supervision.embedded import EmbeddedBroker
from topology.supervision.memory import shared_out_mb

BODY = json.dumps(
    {
        "type": "incident.opened",
        "timestamp": "",
        "data": {"incident": {"severity": "high", "title": "slow"}},
    }
)


def _headers(inbox: WebhookInbox, name: str, body: str = BODY) -> dict[str, str]:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    signature = Webhook(inbox.secret.reveal()).sign(name, now, body)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


async def test_inbox_takes_signed_messages_once_and_refuses_forged_ones() -> None:
    """What the reference library signs is taken, a repeated id is one message, and a body changed
    on the way is none.
    """
    told: list[Message] = []
    async with WebhookInbox(told.append) as inbox, aiohttp.ClientSession() as session:
        statuses = []
        for name, body in (("m1", BODY), ("m1", BODY), ("m2", BODY.replace("slow", "fast"))):
            async with session.post(inbox.url, data=body, headers=_headers(inbox, name)) as answer:
                statuses.append(answer.status)
        async with session.post(inbox.url, data=BODY) as answer:
            statuses.append(answer.status)
    assert statuses == [204, 204, 401, 401]
    assert told == [Message("m1", "incident.opened", "high", "slow")]
    assert inbox.forged == 2
    assert inbox.secret.reveal() not in repr(inbox)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares memory out")
def test_memory_counts_each_process_and_forgets_the_dead() -> None:
    """Two processes weigh more than one; one that ended weighs nothing."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        deadline = time.monotonic() + 10
        while (both := shared_out_mb([os.getpid(), other.pid]) or 0) < (
            alone := shared_out_mb([os.getpid()]) or 0
        ) + 1:
            assert time.monotonic() < deadline
        other.kill()
    assert both > alone > 5
    assert shared_out_mb([other.pid]) == 0


async def test_pressure_rises_with_the_backlog_and_falls_with_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A producer is held while a group has more than the limit before it, and let go when the group
    has caught up.
    """
    monkeypatch.setattr(pressure, "MAX_BEHIND", 50)
    monkeypatch.setattr(pressure, "_LOOK_EVERY_S", 0.0)
    with EmbeddedBroker() as embedded:
        broker = Broker(bootstrap_servers=embedded.address, embedded=True)
        with Pressure(broker, "t", "g") as held:
            assert not held.too_high(0)
            producer = Producer(producer_config(broker))
            for _ in range(100):
                producer.produce("t", b"x", b"same")
            assert producer.flush(120) == 0
            assert held.too_high(100)
            reader = Consumer({"bootstrap.servers": embedded.address, "group.id": "g"})
            reader.commit(
                offsets=[TopicPartition("t", part, 100) for part in range(4)], asynchronous=False
            )
            await asyncio.to_thread(reader.close)
            assert not held.too_high(100)
