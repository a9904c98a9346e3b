"""How cost grows: what is measured is what was asked for, and what cannot be asked for is
refused.
"""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks import scaling
from benchmarks.backlogs import Case, Rate
from benchmarks.scaling import AXES, events_of, planned
from tests.benchmarks.running import ROOT, run
from tests.harness.showing import BenchmarkFailed, Screen
from topology.capacity.measured import USUAL_RECORD


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_a_case_runs_on_a_real_kafka() -> None:
    """The one that was asked for and no other; its late events are taken too, and what it leaves
    behind is told.
    """
    result = run("scaling", "--events", "1000000", "--only", "late:10")
    (case,) = result["late"].values()
    assert set(result) == {"late", "backlog", "event_rate", "machine"}
    assert 0 < case["events"] < 1_000_000
    assert case["events_per_cpu_s"] > 1000
    assert case["state_rows"] > 0
    assert case["topics"]["telemetry"]["offsets"] >= 1_000_000
    assert case["topics"]["telemetry"]["bytes"] > 1_000_000


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_steps_are_as_small_as_asked_for() -> None:
    """A producer's batch is a step; and several workers count together what was sent."""
    result = run("scaling", "--events", "200000", "--only", "records_per_step:50")
    assert 10 <= result["records_per_step"]["50"]["records_per_step"] <= 60


@pytest.mark.nightly
@pytest.mark.usefixtures("kafka_jars")
def test_the_recorded_hour_has_a_size_in_each_topic_and_in_the_store() -> None:
    """Nothing is free, and each event was stored."""
    result = run("footprint")
    assert result["documents"]["event"]["count"] > 28_000
    assert result["record_bytes"] == USUAL_RECORD.value
    assert result["topics"]["telemetry"]["count"] >= result["documents"]["event"]["count"]
    for sizes in (result["topics"], result["documents"]):
        assert all(one["bytes"] > 0 for one in sizes.values())


def test_every_case_has_a_name_of_its_own() -> None:
    """So none hides another in the object; and without `--only` all run."""
    plan = planned(None)
    assert plan.keys() == AXES.keys()
    for cases in plan.values():
        assert len({case.name for case in cases}) == len(cases) >= 2


def test_a_backlog_is_as_long_as_its_case_needs() -> None:
    """Longer where subjects are many, shorter where records are large or steps small."""
    (many,), (few,) = planned("subjects:1000000")["subjects"], planned("subjects:100")["subjects"]
    assert events_of(many, 1000) == 3_000_000
    assert events_of(few, 5_000_000) == 5_000_000
    assert events_of(replace(few, text=10_000), 5_000_000) == 150_000
    assert events_of(replace(few, batch_records=50), 5_000_000) == 500_000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--only", "colour"), "'colour' is nothing that can be changed; there are subjects, "),
        (("--only", "workers:3"), "workers has no case '3'; there are 1, 2"),
        (("--events", "0"), "1 or more"),
        (("--repeat", "0"), "1 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: tuple[str, ...], says: str) -> None:
    """Status 2 and one line that says what there is, before any server is started."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]


def test_help_has_an_example() -> None:
    """As of every command line."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Example: python -m benchmarks.scaling --only " in " ".join(done.stdout.split())


def test_a_case_that_fails_is_named_and_the_others_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The object is printed without it, and the end is not a success."""
    rate = Rate(1, 2, 3, 4.0, 5.0, 6, 7, 8, 9.0, 10, 11, 12, 13, 14, 15, {})

    def measured(case: Case, events: int, screen: Screen) -> Rate:
        if case.name == "late 10":
            raise BenchmarkFailed("the worker stands")
        return rate

    monkeypatch.setattr(scaling, "measured", measured)
    # Signals are the test run's own.
    monkeypatch.setattr(scaling, "end_in_order", lambda: None)
    with pytest.raises(SystemExit) as ended:
        scaling.main(["--json", "--only", "late"])
    assert ended.value.code == "benchmarks.scaling: late 10: the worker stands"
    assert json.loads(capsys.readouterr().out)["late"].keys() == {"0", "1", "50"}
