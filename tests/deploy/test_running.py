"""What docker-compose.yml starts, started here without containers: its Kafka settings, its
commands, its settings file, its health checks.
"""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.files import OURS, ROOT, SERVICES
from tests.harness.servers.kafka import KafkaServer
from tests.harness.worker import until
from topology.supervision.ports import free_port

SECRET = "of sixteen characters or more"
NETWORK = re.compile(r"listener|quorum\.voters|log\.dirs")
"""What a server on free ports of this machine has otherwise than one in a container."""


@pytest.fixture(scope="module")
def compose_kafka(kafka_jars: None) -> Iterator[str]:
    """A real Kafka with the settings of the service `kafka`, named as its image names them."""
    variables = {
        name: value
        for name, value in SERVICES["kafka"]["environment"].items()
        if name != "KAFKA_HEAP_OPTS"
    }
    settings = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in variables.items()
        if name.startswith("KAFKA_")
    }
    with KafkaServer(
        {name: value for name, value in settings.items() if not NETWORK.search(name)}
    ) as server:
        yield server.address


def _environment(
    service: str, folder: Path, servers: Mapping[str, str], port: int
) -> Mapping[str, str]:
    for name in OURS[service]["secrets"]:
        (folder / name).write_text(SECRET)
    settings = (ROOT / "deploy/compose/sentinel.yaml").read_text()
    for theirs, here in {"/run/secrets/": f"{folder}/", "0.0.0.0": "127.0.0.1", **servers}.items():
        assert theirs in settings
        settings = settings.replace(theirs, here)
    (folder / "sentinel.yaml").write_text(settings)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")
    }
    variables = OURS[service]["environment"].items()
    given = {name: str(value).replace("/run/secrets/", f"{folder}/") for name, value in variables}
    return {
        **inherited,
        **given,
        "SENTINEL_CONFIG": str(folder / "sentinel.yaml"),
        "SENTINEL_WORKER__HEALTH_PORT": str(port),
    }


def test_topics_are_made_and_every_worker_becomes_healthy(
    compose_kafka: str, elastic_url: str, tmp_path: Path
) -> None:
    """In the order of the file: `topics` ends well, also a second time, and each worker's check
    passes, which it does not before.
    """
    servers = {"kafka:19092": compose_kafka, "http://elasticsearch:9200": elastic_url}
    for _ in range(2):
        environment = _environment("topics", tmp_path, servers, free_port())
        command = [sys.executable, "-m", "topology", *OURS["topics"]["command"]]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    workers = [name for name, service in OURS.items() if service["command"][0] == "worker"]
    assert workers
    for name in workers:
        port = free_port()
        check = _check(name, "9100", port)
        assert not check()
        with _started(name, _environment(name, tmp_path, servers, port), tmp_path):
            until(check, f"{name} is healthy: {tmp_path / 'log'}")


def test_the_api_becomes_healthy_and_asks_for_the_token(elastic_url: str, tmp_path: Path) -> None:
    """Through the address that is published, it answers who has the token of the secret, and nobody
    else.
    """
    port = free_port()
    servers = {"http://elasticsearch:9200": elastic_url}
    environment = {
        **_environment("api", tmp_path, servers, free_port()),
        "SENTINEL_API__PORT": str(port),
    }
    assert environment["SENTINEL_API__HOST"] == "0.0.0.0"
    with _started("api", environment, tmp_path):
        until(_check("api", "8088", port), f"api is healthy: {tmp_path / 'log'}")
        url = f"http://127.0.0.1:{port}/api/v1/incidents?tenant=acme"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=300)
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {SECRET}"})
        with urllib.request.urlopen(asked, timeout=300) as answer:
            assert answer.status == 200


def _check(service: str, theirs: str, port: int) -> Callable[[], bool]:
    """Whether the service's own check passes, at another port."""
    command = [each.replace(theirs, str(port)) for each in OURS[service]["healthcheck"]["test"]]
    assert command[:2] == ["CMD", "python"]
    return lambda: (
        subprocess.run([sys.executable, *command[2:]], capture_output=True, check=False).returncode
        == 0
    )


@contextmanager
def _started(service: str, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    """The service's command as a process; told to end, it ends well."""
    command = [sys.executable, "-m", "topology", *OURS[service]["command"]]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            yield
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
