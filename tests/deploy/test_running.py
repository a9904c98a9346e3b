"""What docker-compose.yml starts, started here without containers: its Kafka settings, its commands, its settings file, its health checks."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.deploy.files import OURS, ROOT, SERVICES
from tests.servers.kafka import KafkaServer, free_port
from tests.stages.workers import until

NETWORK = re.compile(r"listener|quorum\.voters|log\.dirs")
"""What a server on free ports of this machine has otherwise than one in a container."""


@pytest.fixture(scope="module")
def compose_kafka(kafka_jars: None) -> Iterator[str]:
    """A real Kafka with the settings of the service `kafka`, named as its image names them."""
    variables = {name: value for name, value in SERVICES["kafka"]["environment"].items() if name != "KAFKA_HEAP_OPTS"}
    settings = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in variables.items()
        if name.startswith("KAFKA_")
    }
    with KafkaServer({name: value for name, value in settings.items() if not NETWORK.search(name)}) as server:
        yield server.address


def _environment(service: str, folder: Path, servers: Mapping[str, str], port: int) -> Mapping[str, str]:
    (folder / "control-key").write_text("a key")
    settings = (ROOT / "deploy/compose/sentinel.yaml").read_text()
    for theirs, here in {"/run/secrets/": f"{folder}/", "0.0.0.0": "127.0.0.1", **servers}.items():
        assert theirs in settings
        settings = settings.replace(theirs, here)
    (folder / "sentinel.yaml").write_text(settings)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    given = {name: str(value) for name, value in OURS[service]["environment"].items()}
    return {
        **inherited,
        **given,
        "SENTINEL_CONFIG": str(folder / "sentinel.yaml"),
        "SENTINEL_WORKER__HEALTH_PORT": str(port),
    }


def test_topics_are_made_and_every_worker_becomes_healthy(compose_kafka: str, elastic_url: str, tmp_path: Path) -> None:
    """In the order of the file: `topics` ends well, also a second time, and each worker's check passes, which it does not before."""
    servers = {"kafka:19092": compose_kafka, "http://elasticsearch:9200": elastic_url}
    for _ in range(2):
        environment = _environment("topics", tmp_path, servers, free_port())
        command = [sys.executable, "-m", "topology", *OURS["topics"]["command"]]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    workers = [name for name, service in OURS.items() if service["command"][0] == "worker"]
    assert workers
    for name in workers:
        port = free_port()
        check = [each.replace("9100", str(port)) for each in OURS[name]["healthcheck"]["test"][1:]]
        check = [sys.executable, *check[1:]]
        assert subprocess.run(check, capture_output=True).returncode != 0
        environment = _environment(name, tmp_path, servers, port)
        command = [sys.executable, "-m", "topology", *OURS[name]["command"]]
        with (tmp_path / "log").open("w+") as log:
            worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
            try:
                until(
                    lambda check=check: not subprocess.run(check, capture_output=True).returncode,
                    f"{name} is healthy; {tmp_path / 'log'}",
                )
                worker.terminate()
                assert worker.wait(30) == 0
            finally:
                worker.kill()
                worker.wait()
