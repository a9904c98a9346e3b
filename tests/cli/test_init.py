"""`sentinel init`: what it writes is valid, secret to others, and never over anything that was
there.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.terminal import terminal
from topology.settings.loading import load


def _init(*words: str, given: str = "", umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    return subprocess.run(
        [sys.executable, "-m", "topology", "init", *words],
        input=given,
        capture_output=True,
        text=True,
        env=ours,
        umask=umask,
        check=False,
    )


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)


def test_what_it_writes_is_valid_and_only_its_owners(tmp_path: Path) -> None:
    """Whatever the umask is; `settings validate` has nothing to say about it."""
    folder = tmp_path / "new"
    words = (
        "--bootstrap-servers",
        "k:9093",
        "--webhook",
        "https://x.example/hook",
        "--username",
        "sentinel",
    )
    done = _init(str(folder), *words, given="geheim\n", umask=0)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    loaded = load(folder / "sentinel.yaml")
    assert loaded.hints() == []
    settings = loaded.settings
    assert (settings.broker.bootstrap_servers, settings.broker.tls) == ("k:9093", True)
    assert settings.broker.password.reveal() == "geheim"
    assert "geheim" not in done.stdout
    (receiver,) = settings.alerting.receivers
    assert receiver.url == "https://x.example/hook"
    validate = [
        sys.executable,
        "-m",
        "topology",
        "settings",
        "validate",
        str(folder / "sentinel.yaml"),
    ]
    said = subprocess.run(validate, capture_output=True, text=True, check=True)
    assert said.stdout == f"{folder}/sentinel.yaml: good\n"


def test_each_installation_has_secrets_of_its_own(tmp_path: Path) -> None:
    """No two are alike, and each is long enough."""
    for name in ("a", "b"):
        assert _init(str(tmp_path / name)).returncode == 0
    keys = [
        load(tmp_path / name / "sentinel.yaml").settings.worker.control_key.reveal()
        for name in ("a", "b")
    ]
    assert keys[0] != keys[1]
    assert len(keys[0]) == 64


@pytest.mark.parametrize("name", ["sentinel.yaml", "control-key", "api-token"])
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    """One file that is there, also a link to nowhere, and none is written."""
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    done = _init(str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"sentinel: {tmp_path / name} exists already, and nothing is overwritten; choose another"
        " folder\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_dry_run_shows_the_settings_and_writes_nothing(tmp_path: Path) -> None:
    """And no secret."""
    folder = tmp_path / "new"
    done = _init(str(folder), "--dry-run", "--webhook", "https://x.example/hook")
    assert done.returncode == 0
    assert "would write" in done.stdout
    assert "bootstrap_servers" in done.stdout
    assert "whsec_" not in done.stdout
    assert not folder.exists()


def test_in_a_terminal_it_asks(tmp_path: Path) -> None:
    """For the broker and for who is told; the answers are what is written."""
    command = [sys.executable, "-m", "topology", "init", str(tmp_path / "new")]
    with terminal(command, os.environ) as opened:
        opened.until(lambda written: "host:port" in written, 60)
        opened.type("kafka-7:9092\n")
        opened.until(lambda written: "https address" in written, 60)
        opened.type("https://y.example/\n")
        opened.until(lambda written: "next: " in written, 60)
    settings = load(tmp_path / "new" / "sentinel.yaml").settings
    assert settings.broker.bootstrap_servers == "kafka-7:9092"
    assert settings.alerting.receivers[0].url == "https://y.example/"
