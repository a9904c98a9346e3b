"""The comparison of two trees: a ratio that a drifting machine does not move, and its spread."""

import subprocess
import sys

import pytest

from benchmarks.check import compared
from tests.docs.pages import ROOT


def test_a_slower_tree_shows_in_every_round() -> None:
    """A tenth less in each round is a ratio of 0.9 without a spread, however fast the machine."""
    rounds = [({"a": 0.9 * speed}, {"a": speed}) for speed in (100.0, 60.0, 140.0)]
    ratio, spread = compared(rounds)
    assert ratio == pytest.approx(0.9)
    assert spread == pytest.approx(0.0, abs=1e-9)


def test_rounds_that_differ_are_a_spread() -> None:
    """Half of the distance between the lowest and the highest."""
    rounds = [({"a": each, "b": each}, {"a": 1.0, "b": 1.0}) for each in (0.8, 1.0, 1.1)]
    assert compared(rounds) == (pytest.approx(1.0), pytest.approx(0.15))


def test_an_unknown_revision_ends_before_anything_is_measured() -> None:
    """In one line that names it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.check", "--against", "no-such-revision"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no-such-revision" in done.stderr.splitlines()[-1]
