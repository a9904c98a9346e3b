"""Workers on a broker that asks for TLS and a user, with the settings that the documentation
names.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.servers.tls import SecuredKafka, secured_kafka
from tests.harness.worker import PATIENCE_S
from topology.supervision.ports import free_port


@pytest.fixture(scope="module")
def secured(kafka_jars: None) -> Iterator[SecuredKafka]:
    """A real broker with a SASL_SSL listener."""
    with secured_kafka() as server:
        yield server


def _settings(folder: Path, secured: SecuredKafka, password: str, health_port: int = 0) -> Path:
    (folder / "password").write_text(password + "\n")
    path = folder / "sentinel.yaml"
    path.write_text(f"""
broker:
  bootstrap_servers: {secured.address}
  tls: true
  tls_ca_file: {secured.ca_file}
  username: {secured.user}
  password_file: password
lanes: {{partitions: 2}}
worker: {{health_port: {health_port}}}
""")
    return path


def _sentinel(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "topology", *map(str, words)]


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("stage", ["detect", "correlate", "alert"])
def test_worker_gets_ready_through_tls_and_scram(
    secured: SecuredKafka, tmp_path: Path, stage: str
) -> None:
    """All its clients (admin, consumer, producers, the settings reader) get in: it is ready, and
    ends with status 0 when told.
    """
    port = free_port()
    path = _settings(tmp_path, secured, secured.password, port)
    subprocess.run(_sentinel("topics", "create", "-c", path), check=True, capture_output=True)
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            _sentinel("worker", stage, "-c", path), stdout=log, stderr=log, env=os.environ
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _ready(port):
            assert worker.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0, (tmp_path / "log").read_text()
    finally:
        worker.kill()
        worker.wait()


def test_wrong_password_ends_the_worker_with_one_line(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    """The line names user and setting, not the password, and comes at once: it does not wait for
    the connect timeout.
    """
    path = _settings(tmp_path, secured, "falsch")
    done = subprocess.run(
        _sentinel("worker", "detect", "-c", path),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SENTINEL_BROKER__CONNECT_TIMEOUT_S": str(2 * PATIENCE_S)},
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "refused the user 'sentinel': check broker.password" in line
    assert "falsch" not in line
