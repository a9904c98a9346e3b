"""`sentinel capacity`: the plan for people and for programs, and one plain line where there is
none.
"""

import json
import subprocess
import sys

import pytest


def _capacity(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "topology", "capacity", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


ASKED = ("--events-per-s", "100000", "--subjects", "50000")


def test_json_has_workers_partitions_memory_disk_and_every_constant() -> None:
    """Standard output is one object; each line has its reason, each constant the command that
    measured it.
    """
    done = _capacity(*ASKED, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert plan["workers"]["detect"] >= 1
    assert plan["partitions"] >= 12
    assert plan["memory_mb"]["all"] >= plan["memory_mb"]["detect"] > 0
    assert plan["disk_gb"]["all"] > plan["disk_gb"]["topic telemetry"] > 0
    assert 0 < plan["headroom"]["busy_at_most"] < 1
    assert all(line["why"] for line in plan["lines"])
    assert all(constant["command"] for constant in plan["constants"].values())
    assert "cores" in plan["machine"]


def test_people_read_a_line_with_its_reason_for_each_number() -> None:
    """And below, what headroom is in it and on which machine was measured."""
    done = _capacity(*ASKED, "--windows-only", "--store", "none")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "100,000 events a second, 50,000 subjects, 0 users, windows only\n"
    )
    lines = done.stdout.splitlines()
    told = [line.split()[:2] for line in lines if "python -m benchmarks.scaling" in line]
    assert told == [["workers", "detect"], ["memory", "detect"]]
    assert "stored" not in done.stdout
    assert "Headroom is in it" in done.stdout
    assert "Measured on" in lines[-1]


def test_retention_is_given_by_what_is_kept() -> None:
    """Half the days, and less than half the disk more than the segments that are open anyway."""
    disk = [
        json.loads(_capacity(*ASKED, "--json", "--retention-days", f"telemetry={days}").stdout)[
            "disk_gb"
        ]["topic telemetry"]
        for days in (2, 4)
    ]
    assert disk[0] < disk[1] < 2 * disk[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--events-per-s", "0", "--subjects", "10"), "more than 0"),
        (("--events-per-s", "1", "--subjects", "1000000"), "forgotten"),
        ((*ASKED, "--retention-days", "coffee=3"), "there is telemetry, aggregates"),
        ((*ASKED, "--retention-days", "telemetry=long"), "no number of days"),
        ((*ASKED, "--retention-days", "telemetry=-1"), "cannot be kept"),
        ((*ASKED, "--store", "paper"), "no store"),
    ],
)
def test_nonsense_is_one_line(words: tuple[str, ...], says: str) -> None:
    """Status 1, no traceback, and what is wrong."""
    done = _capacity(*words)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("sentinel: ")
    assert says in line


def test_a_missing_number_is_a_wrong_command_line() -> None:
    """Status 2, as for every command."""
    assert _capacity("--subjects", "10").returncode == 2
    assert _capacity("--events-per-s", "many", "--subjects", "10").returncode == 2
