"""The demo with store and API under kill -9, in its quick form (`python -m benchmarks.killed_demo`
is the long one).
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killed_demo import is_exact, numbers
from benchmarks.killed_demo_run import Left
from schemas.documents import Kind
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentChange
from tests.harness.store_documents import incident
from topology.demo.receiver import Message

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told(kafka: str) -> dict[str, Any]:
    """Every process killed once; in a process of its own, since the demo forgets the environment of
    the tests.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.killed_demo",
            "--json",
            "--kafka",
            kafka,
            "--kills",
            "5",
            "--speed",
            "120",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_nothing_is_missing_doubled_or_different_after_a_kill_of_everything(
    told: dict[str, Any],
) -> None:
    """Stored documents are the distinct ids on the topics; incidents and messages are the quiet
    run's; and there were some of each.
    """
    assert is_exact(told)
    assert told["kills_by_process"] == {
        "detect": 1,
        "correlate": 1,
        "alert": 1,
        "sink": 1,
        "api": 1,
    }
    assert told["documents"].keys() == {"anomaly", "incident", "notification", "aggregate"}
    assert told["messages"] >= 7
    assert told["died_by_themselves"] == []


def _left() -> Left:
    one = incident(1, 1)
    return Left(
        on_topics={(Kind.ANOMALY, "a"): b"1", (Kind.ANOMALY, "b"): b"2"},
        in_store={(Kind.ANOMALY, "a"): b"1", (Kind.ANOMALY, "b"): b"2"},
        incidents={
            (one.id, 1): one,
            (one.id, 2): replace(one, revision=2, change=IncidentChange.RESOLVED),
        },
        messages={"m": Message("m", "incident.opened", "high", "slow")},
        delivered_again=0,
        forged=0,
    )


def test_every_kind_of_damage_is_seen() -> None:
    """The comparison is no rubber stamp."""
    quiet = _left()
    (name, _), *_ = quiet.incidents
    last, first = quiet.incidents[name, 2], quiet.incidents[name, 1]
    damaged = {
        "missing": replace(quiet, in_store={(Kind.ANOMALY, "a"): b"1"}),
        "unexpected": replace(quiet, in_store={**quiet.in_store, (Kind.ANOMALY, "c"): b"3"}),
        "unequal": replace(quiet, in_store={**quiet.in_store, (Kind.ANOMALY, "b"): b"3"}),
        "incidents_different": replace(
            quiet, incidents={**quiet.incidents, (name, 2): replace(last, title="other")}
        ),
        "changes_different": replace(
            quiet, incidents={**quiet.incidents, (name, 1): replace(first, severity=Severity.INFO)}
        ),
        "messages_different": replace(quiet, messages={}),
        "forged": replace(quiet, forged=1),
    }
    assert is_exact(numbers(quiet, quiet))
    for what, killed in damaged.items():
        told = numbers(quiet, killed)
        assert told[what], what
        assert not is_exact(told)
    moved = replace(
        quiet, incidents={place: replace(one, offset=9) for place, one in quiet.incidents.items()}
    )
    assert is_exact(numbers(quiet, moved))
    between = replace(
        first, revision=2, change=IncidentChange.UPDATED, anomaly_count=first.anomaly_count + 1
    )
    slower = {(name, 1): first, (name, 2): between, (name, 3): replace(last, revision=3)}
    assert is_exact(numbers(quiet, replace(quiet, incidents=slower)))
