"""Commands that only read settings or ask the API answer at once: they load no Kafka client, no
framework and no data frames.

Modules are counted, not time, which depends on the machine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HEAVY = {
    "aiokafka",
    "confluent_kafka",
    "elasticsearch",
    "fastavro",
    "faust",
    "numpy",
    "polars",
    "rich",
    "structlog",
}

CODE = """
import json, sys
from topology.cli import main
status = 0
try:
    main(sys.argv[1:])
except SystemExit as end:
    status = end.code or 0
loaded = sorted({name.partition(".")[0] for name in sys.modules})
sys.stderr.write("@" + json.dumps([status, loaded]))
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A settings file with a receiver of each kind, and a rule."""
    receivers = [
        {
            "name": "hook",
            "kind": "webhook",
            "url": "https://x.example",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        },
        {"name": "pager", "kind": "pagerduty", "secret": "k" * 32},
        {"name": "chat", "kind": "slack", "secret": "xoxb-1", "channel": "C1"},
        {"name": "log"},
    ]
    rules = [{"name": "slow", "metric": "latency_us", "comparison": ">", "threshold": 1e7}]
    path = tmp_path / "sentinel.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "alerting": {"receivers": receivers},
                "detection": {"rules": rules},
                "worker": {"control_key": "k" * 32},
                "store": {"kind": "embedded", "path": str(tmp_path / "none.db")},
            }
        )
    )
    return str(path)


def modules(*words: str) -> tuple[int, set[str]]:
    """Exit status of a command, and the top-level modules that it has loaded."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True, env=ours
    )
    status, loaded = json.loads(done.stderr.rpartition("@")[2])
    return status, set(loaded)


@pytest.mark.parametrize(
    "words",
    [
        ("settings", "validate", "CONFIG"),
        ("notify-test", "hook", "--dry-run", "--config", "CONFIG"),
        ("notify-test", "pager", "--dry-run", "--config", "CONFIG"),
        ("notify-test", "chat", "--dry-run", "--config", "CONFIG"),
        ("notify-test", "--dry-run", "--config", "CONFIG"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_a_cheap_command_loads_nothing_heavy(words: tuple[str, ...], config: str) -> None:
    """Neither where all is well."""
    status, loaded = modules(*(word.replace("CONFIG", config) for word in words))
    assert status == 0
    assert loaded & HEAVY == set()
    assert "aiohttp" not in loaded


def test_a_refusal_loads_nothing_heavy(config: str) -> None:
    """Nor where something is wrong."""
    Path(config).write_text("brokr: {}\n")
    status, loaded = modules("settings", "validate", config)
    assert status == 1
    assert loaded & {*HEAVY, "aiohttp"} == set()
