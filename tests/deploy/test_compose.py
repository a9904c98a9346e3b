"""docker-compose.yml: what it runs exists, what it opens is on this machine only, and nothing in it
is secret.
"""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from streams.admin.topics import STAGES
from tests.deploy.files import COMPOSE, OURS, ROOT, SERVICES
from tests.harness.servers.elasticsearch import VERSION
from topology.cli import app
from topology.settings.loading import load

RUNNING = {
    name: service for name, service in SERVICES.items() if service["restart"] == "unless-stopped"
}
BUILT = ROOT / ".servers" / "compose" / "docker-compose"


def _parser() -> list[str] | None:
    """Compose itself: the one named by SENTINEL_TEST_COMPOSE, docker's, or the one that `make
    servers` builds.
    """
    if given := os.environ.get("SENTINEL_TEST_COMPOSE"):
        return [given]
    if (
        shutil.which("docker")
        and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        return ["docker", "compose"]
    return [str(BUILT)] if BUILT.exists() else None


def test_compose_reads_the_file() -> None:
    """The real parser takes it, and finds every service that is tested here."""
    parser = _parser()
    if parser is None:
        pytest.skip("compose is not here: `make servers` builds its parser where Go is installed")
    command = [*parser, "--file", str(ROOT / "docker-compose.yml"), "config"]
    checked = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    listed = subprocess.run([*command, "--services"], capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == set(SERVICES)


def test_there_is_a_worker_for_every_stage() -> None:
    """And Prometheus scrapes each where it serves its metrics."""
    workers = {
        name: service["command"]
        for name, service in OURS.items()
        if service["command"][0] == "worker"
    }
    stages = (*STAGES, "sink")
    assert workers == {stage: ["worker", stage] for stage in stages}
    scraped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    assert f"names: [{', '.join(stages)}]" in scraped
    for service in OURS.values():
        assert f"port: {service['environment']['SENTINEL_WORKER__HEALTH_PORT']}\n" in scraped


def test_prometheus_reaches_the_api() -> None:
    """By a name that the API serves, with the operators' token."""
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (scraped,) = (job for job in prometheus["scrape_configs"] if job["job_name"] == "sentinel-api")
    (target,) = (target for static in scraped["static_configs"] for target in static["targets"])
    name, _, port = target.partition(":")
    assert name in OURS
    assert json.loads(OURS[name]["environment"]["SENTINEL_API__ALLOWED_HOSTS"]) == [name]
    assert OURS[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    token = scraped["authorization"]["credentials_file"]
    assert token == OURS[name]["environment"]["SENTINEL_API__TOKEN_FILE"]
    assert token.removeprefix("/run/secrets/") in SERVICES["prometheus"]["secrets"]


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_of_the_command_line(name: str) -> None:
    """Its words name a command, and its arguments are taken."""
    command = get_command(app)
    words = list(OURS[name]["command"])
    while hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    command.make_context("sentinel", words)


def test_the_settings_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings file and the variables of every service of ours are read without a fault, and
    the control key comes from its secret.
    """
    for service in OURS.values():
        (mount,) = (
            volume
            for volume in service["volumes"]
            if volume.startswith("./deploy/compose/sentinel.yaml")
        )
        source, target, mode = mount.split(":")
        assert (service["environment"]["SENTINEL_CONFIG"], mode) == (target, "ro")
        for name in COMPOSE["secrets"]:
            (tmp_path / name).write_text("a key of 16 characters")
        text = (ROOT / source).read_text()
        assert "/run/secrets/control-key" in text
        copied = tmp_path / "sentinel.yaml"
        copied.write_text(text.replace("/run/secrets/", f"{tmp_path}/"))
        for name, value in service["environment"].items():
            monkeypatch.setenv(name, str(value).replace("/run/secrets/", f"{tmp_path}/"))
        settings = load(copied).settings
        assert settings.worker.control_key.reveal() == "a key of 16 characters"
        assert settings.worker.health_host == "0.0.0.0"
        assert settings.broker.bootstrap_servers == "kafka:19092"
        assert set(service["secrets"]) == {
            "control-key",
            *(["api-token"] if settings.api.token else []),
        }
        for name in service["environment"]:
            monkeypatch.delenv(name)


def test_ports_are_published_on_this_machine_only() -> None:
    """Nothing in the installation asks who one is but Grafana."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)


def test_only_those_who_need_it_reach_elasticsearch() -> None:
    """It asks nobody who they are: it publishes nothing, and its network has no way out."""
    on_it = {name for name, service in SERVICES.items() if "store" in service.get("networks", [])}
    assert on_it == {"api", "elasticsearch", "kibana", "sink"}
    assert SERVICES["elasticsearch"]["networks"] == ["store"]
    assert "ports" not in SERVICES["elasticsearch"]
    assert COMPOSE["networks"]["store"] == {"internal": True}


def test_what_sink_and_kibana_ask_for_is_there() -> None:
    """The same server, of the version that tests run, with a Kibana of that version; and the
    objects that are brought in.
    """
    settings = (ROOT / "deploy/compose/sentinel.yaml").read_text()
    assert SERVICES["kibana"]["environment"]["ELASTICSEARCH_HOSTS"] in settings
    versions = {
        SERVICES[name]["image"].rpartition(":")[2]
        for name in ("elasticsearch", "kibana", "kibana-objects")
    }
    assert versions == {VERSION}
    (brought,) = SERVICES["kibana-objects"]["command"]
    (folder,) = (volume.split(":")[:2] for volume in SERVICES["kibana-objects"]["volumes"])
    (name,) = re.findall(rf"file=@{folder[1]}/(\S+)", brought)
    assert (ROOT / folder[0] / name).is_file()


def test_images_are_pinned() -> None:
    """By a whole version: the same file starts the same programs next year."""
    for service in SERVICES.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded(name: str) -> None:
    """It has a limit of memory and CPU, its log is rotated, and it cannot gain rights."""
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_that_runs_on_is_checked(name: str) -> None:
    """Its health is asked for, and it is started again."""
    check = RUNNING[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "start_period", "retries"} <= set(check)


def test_services_wait_for_what_can_come_true() -> None:
    """Healthy is said of services that are checked, completed of the one that ends."""
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_healthy" if other in RUNNING else "service_completed_successfully"
            assert how == {"condition": expected}


def test_services_of_ours_cannot_write() -> None:
    """Their root is read-only, no capability is left, and what they may write is gone with them."""
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert {mount.split(":")[0] for mount in service["tmpfs"]} == {"/var/lib/sentinel", "/tmp"}


def test_what_is_mounted_exists() -> None:
    """A path of the repository that is not there would be made by Docker, as an empty folder of
    root's.
    """
    named = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                assert (ROOT / source).exists()
                assert rest.endswith(":ro")
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])


def test_nothing_in_the_file_is_secret() -> None:
    """A variable named like a secret names a file, and git ignores the folder of these files."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET|(?<!_ID)KEY", name):
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert COMPOSE["secrets"] == {
        name: {"file": f"./secrets/{name}"} for name in COMPOSE["secrets"]
    }
    assert "/secrets/" in (ROOT / ".gitignore").read_text().split()
    assert "secrets" not in (ROOT / ".dockerignore").read_text()


def test_the_script_makes_the_secrets_that_compose_reads(tmp_path: Path) -> None:
    """All of them, long, different, in a private folder; an existing one is kept."""
    script = tmp_path / "deploy" / "compose" / "make-secrets"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/compose/make-secrets", script)
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    made: dict[str, Any] = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert all(re.fullmatch(r"[0-9a-f]{64}", text) for text in made.values())
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = subprocess.run(["sh", str(script)], check=True, capture_output=True, text=True)
    assert again.stdout == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_the_page_names_services_and_ports_that_there_are() -> None:
    """Commands of docs/compose.md: services of the file, commands of ours, addresses that are
    published.
    """
    page = (ROOT / "docs" / "compose.md").read_text()
    for words in re.findall(r"docker compose exec (\w+) sentinel ([\w -]+?)(?:`|  |\n)", page):
        assert words[0] in OURS
        command = get_command(app)
        arguments = words[1].split()
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context("sentinel", arguments)
    for named in re.findall(r"docker compose (?:restart|logs --follow) ([\w ]+)", page):
        assert set(named.split()) <= set(SERVICES)
    published = {
        port.rpartition(":")[0]
        for service in SERVICES.values()
        for port in service.get("ports", [])
    }
    assert set(re.findall(r"127\.0\.0\.1:\d+", page)) == published
    readme = (ROOT / "README.md").read_text()
    assert "sh deploy/compose/make-secrets && docker compose up --detach" in readme
