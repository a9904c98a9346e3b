"""The score of the Numenta Anomaly Benchmark, by hand-computed cases, and what is printed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection.__main__ import main
from benchmarks.detection.level_shift import threshold_of
from benchmarks.detection.nab_scoring import (
    PROFILES,
    Labelled,
    gain_at,
    normalised,
    optimum,
    probation,
    sigmoid,
    steps,
)

STANDARD = PROFILES["standard"]


def gain(file: Labelled, detections: dict[int, float], threshold: float = 0.5) -> float:
    scores = np.zeros(file.rows)
    for row, score in detections.items():
        scores[row] = score
    return gain_at(steps(file, scores, STANDARD), threshold)


FILE = Labelled("real/a.csv", 1_000, [(400, 499), (700, 799)])


def test_the_first_row_of_a_window_is_worth_1_and_a_window_without_one_costs_1() -> None:
    """Above no detection at all, that is 2; all of them are 100."""
    both = gain(FILE, {400: 1.0, 700: 1.0})
    assert gain(FILE, {400: 1.0}) == pytest.approx(2.0)
    assert normalised(both, 2, STANDARD) == pytest.approx(100.0)
    assert normalised(0.0, 2, STANDARD) == 0.0


def test_a_later_row_is_worth_less_and_the_best_one_counts() -> None:
    """At the middle 2 / (1 + e^-2.55) - 1 of what the first row has: the paper's sigmoid, 51 rows
    before the end of a window of 100.
    """
    worth = (2 / (1 + math.exp(-5 * 0.51)) - 1) / (2 / (1 + math.exp(-5)) - 1)
    assert gain(FILE, {449: 1.0}) == pytest.approx(1.0 + worth)
    assert gain(FILE, {449: 0.9, 480: 0.9, 499: 0.6}) == pytest.approx(1.0 + worth)
    assert gain(FILE, {449: 0.4, 499: 0.9}) < 1.1


def test_every_row_outside_costs_and_less_shortly_after_a_window() -> None:
    """0.11 far away; 9 rows after a window of 100 rows 0.11 (2 / (1 + e^(5/11)) - 1)."""
    assert gain(FILE, {300: 1.0, 301: 1.0}) == pytest.approx(-0.22)
    near = 2 / (1 + math.exp(5 * 9 / 99)) - 1
    assert gain(FILE, {508: 1.0}) == pytest.approx(0.11 * near)


def test_the_first_rows_count_for_nothing() -> None:
    """15 % of the file, 750 rows at most."""
    assert (probation(1_000), probation(20_000)) == (150, 750)
    assert gain(FILE, {149: 1.0}) == 0.0
    assert gain(FILE, {150: 1.0}) == pytest.approx(-0.11)


def test_a_detection_is_a_score_at_or_above_the_threshold() -> None:
    """One threshold for all files, that of the highest sum."""
    found = np.zeros(1_000)
    found[[400, 600, 601]] = 0.8, 0.7, 0.7
    best, threshold = optimum(steps(FILE, found, STANDARD))
    assert (best, threshold) == (pytest.approx(2.0), 0.8)


def test_other_profiles_weigh_mistakes_otherwise() -> None:
    """A false alarm costs 0.22 in one, a missed window 2 in the other."""
    assert sigmoid(-1.0) == pytest.approx(0.98661, abs=1e-5)
    scores = np.zeros(1_000)
    scores[[300, 400]] = 1.0
    sums = {name: gain_at(steps(FILE, scores, each), 0.5) for name, each in PROFILES.items()}
    assert sums == {
        "standard": pytest.approx(1.89),
        "reward_low_FP_rate": pytest.approx(1.78),
        "reward_low_FN_rate": pytest.approx(2.89),
    }


def test_the_threshold_leaves_the_alarms_that_are_asked_for() -> None:
    """As many scores at or above it, with equal ones left out."""
    scores = np.array([0.1, 0.5, 0.5, 0.9, 0.8])
    assert (scores >= threshold_of(scores, 2)).sum() == 2
    assert (scores >= threshold_of(scores, 3)).sum() == 2


def test_a_small_folder_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With all figures; the published detectors stand beside their own part only."""
    for category in ("one", "two"):
        (tmp_path / category).mkdir()
        rows = [f"2026-01-{1 + row // 24:02d} {row % 24:02d}:00:00,{row % 3}" for row in range(700)]
        rows[600] = rows[600].rpartition(",")[0] + ",90"
        (tmp_path / category / "a.csv").write_text("\n".join(["timestamp,value", *rows, ""]))
    window = ["2026-01-25 20:00:00.000000", "2026-01-26 20:00:00.000000"]
    labels = {"one/a.csv": [window], "two/a.csv": [window]}
    (tmp_path / "windows.json").write_text(json.dumps(labels))
    main(["--only", "nab", "--nab", str(tmp_path), "--json"])
    whole, held_out = json.loads(capsys.readouterr().out)["rows"]
    assert (whole["series"], whole["details"]["windows"]) == (2, 2)
    assert whole["standard"] > 95.0
    assert held_out["standard"] > 95.0


def test_a_folder_without_labels_ends_in_one_line(tmp_path: Path) -> None:
    """Which names the file."""
    with pytest.raises(SystemExit, match=r"windows\.json"):
        main(["--only", "nab", "--nab", str(tmp_path)])
