"""The embedded broker: a process of its own that any client of ours can use."""

import os
import signal
import subprocess
import sys

from confluent_kafka import Producer

from streams.client.brokers import producer_config, reach
from streams.settings import Broker
from topology.control.reading import whole
from topology.settings.loading import load
from topology.supervision.embedded import EmbeddedBroker


def test_other_processes_reach_it_and_read_what_was_written() -> None:
    """Address, metadata, produce and fetch work from outside its process; what was written is read
    in order, once.
    """
    with EmbeddedBroker() as embedded:
        broker = Broker(bootstrap_servers=embedded.address, embedded=True)
        reach(broker)
        producer = Producer({**producer_config(broker)})
        for number in range(1000):
            producer.produce("t", str(number).encode(), b"one-key")
        assert producer.flush(120) == 0
        read = list(whole(broker, ["t"]))
        assert [record.value for record in read] == [str(number).encode() for number in range(1000)]
        pid = embedded.pid
        assert pid is not None
    assert not _exists(pid)


def test_its_variables_are_settings_that_load_takes() -> None:
    """What it hands to workers names the broker and makes lanes fit its four partitions."""
    with EmbeddedBroker() as embedded:
        variables = embedded.environment
        address = embedded.address
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        settings = load().settings
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert settings.broker.embedded
    assert settings.broker.bootstrap_servers == address
    assert settings.lanes.partitions == 4


def test_command_prints_its_address_and_ends_when_told() -> None:
    """`python -m topology.supervision.embedded` is usable by any supervisor: one line out, SIGTERM
    in.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "topology.supervision.embedded"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        host, port = process.stdout.readline().strip().split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
