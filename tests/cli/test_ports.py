"""Ports that are chosen before somebody listens there."""

import socket
from pathlib import Path

from streams.exit_status import REFUSED
from tests.harness.worker import Installation
from topology.supervision.ports import free_port


def test_a_chosen_port_is_none_that_an_outgoing_connection_may_take() -> None:
    """Or a worker that is started again might find its port taken by a connection to the broker,
    for as long as that lives.
    """
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = {free_port() for _ in range(200)}
    assert not [port for port in ports if low <= port <= high]
    assert len(ports) > 150


def test_a_port_that_is_taken_is_told_in_one_line(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """With the setting, by every kind of worker."""
    installation = Installation(kafka, topic_prefix, tmp_path).with_topics()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        store = {"kind": "embedded", "path": str(tmp_path / "s.db")}
        for stage in ("correlate", "sink"):
            with installation.worker(stage, store=store, worker={"health_port": port}) as worker:
                assert worker.ends() == REFUSED, worker.said()
                assert f"cannot be served on 127.0.0.1:{port}" in worker.said()
                assert "worker.health_port" in worker.said()
                assert "Traceback" not in worker.said()
