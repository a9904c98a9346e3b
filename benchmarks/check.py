"""Throughput of this tree and of another revision, in alternation: is the hot path slower now?

    python -m benchmarks.check [--json] [--against main] [--rounds 3] [--events 2000000]

The other revision is checked out and set up below `.servers` (kept for the next time). Each round
measures both trees with their own `benchmarks.throughput`, the one that begins taking turns, so
that a machine whose speed drifts slows both. The ratio is that of events per CPU second, this tree
to the other, the geometric mean over cases of the median over rounds; the spread is half the
distance between the lowest and the highest round. Exit status 1 when this tree is slower by more
than the spread, and by more than 3 %.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Screen, Sheet, end_in_order

ROOT: Final = Path(__file__).parents[1]
OTHER: Final = ROOT / ".servers" / "bench-base"
SUBJECTS: Final = 3_000
MIN_LOSS: Final = 0.03
"""Share by which a tree may be slower before that is called a loss."""

Rates = Mapping[str, float]
"""Events per CPU second, by case."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.check",
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m benchmarks.check --against v0.1.0 --rounds 5",
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument("--against", default="main", help="the other revision (main)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each tree (3)")
    parser.add_argument("--events", type=int, default=2_000_000, help="of a backlog (2,000,000)")
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        revision = _set_up(options.against, screen)
        rounds = [
            _round(number, options.events, screen) for number in range(max(1, options.rounds))
        ]
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.check: {why}")
    ratio, spread = compared(rounds)
    screen.results(
        described,
        [_sheet(rounds, options.against)],
        {"ratio": round(ratio, 4), "spread": round(spread, 4), "against": revision},
    )
    return 1 if ratio < 1 - max(spread, MIN_LOSS) else 0


def compared(rounds: Sequence[tuple[Rates, Rates]]) -> tuple[float, float]:
    """Ratio and spread of rounds, each with the rates of this tree and of the other.

    >>> compared([({"a": 90.0}, {"a": 100.0}), ({"a": 110.0}, {"a": 100.0})])
    (1.0, 0.1)
    """
    cases = list(rounds[0][0])
    medians = [_ratio(case, rounds) for case in cases]
    whole = [
        statistics.geometric_mean([ours[case] / other[case] for case in cases])
        for ours, other in rounds
    ]
    spread = (max(whole) - min(whole)) / 2
    return round(statistics.geometric_mean(medians), 12), round(spread, 12)


def _ratio(case: str, rounds: Sequence[tuple[Rates, Rates]]) -> float:
    """Median over the rounds."""
    return statistics.median(ours[case] / other[case] for ours, other in rounds)


def _round(number: int, events: int, screen: Screen) -> tuple[Rates, Rates]:
    trees = [ROOT, OTHER]
    rates: dict[Path, Rates] = {}
    for tree in trees if number % 2 == 0 else reversed(trees):
        screen.say(f"round {number + 1}: {'this tree' if tree == ROOT else 'the other'}")
        rates[tree] = _measured(tree, events)
    return rates[ROOT], rates[OTHER]


def _measured(tree: Path, events: int) -> Rates:
    command = [".venv/bin/python", "-m", "benchmarks.throughput", "--json"]
    told = json.loads(_run([*command, "--events", str(events), "--subjects", str(SUBJECTS)], tree))
    return {
        "windows only": told["subjects"][str(SUBJECTS)]["events_per_cpu_s"],
        "with detectors": told["with_detectors"]["events_per_cpu_s"],
    }


def _set_up(against: str, screen: Screen) -> str:
    """Checks the other revision out, and gives it an environment; its commit. Raises
    BenchmarkFailed.
    """
    commit = _run(["git", "rev-parse", "--verify", f"{against}^{{commit}}"], ROOT)
    screen.say(f"setting up {against} ({commit[:12]})")
    if not (OTHER / ".git").exists():
        _run(["git", "worktree", "prune"], ROOT)
        _run(["git", "worktree", "add", "--detach", "--force", str(OTHER), commit], ROOT)
    _run(["git", "checkout", "--quiet", "--force", "--detach", commit], OTHER)
    _run(["make", "--silent", "setup"], OTHER)
    # Both measure on the same servers.
    if not (OTHER / ".servers").exists():
        (OTHER / ".servers").symlink_to(ROOT / ".servers", target_is_directory=True)
    return commit


def _run(command: Sequence[str], where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BenchmarkFailed(f"{' '.join(command)}: {said[-1] if said else done.returncode}")
    return done.stdout.strip()


def _sheet(rounds: Sequence[tuple[Rates, Rates]], against: str) -> Sheet:
    rows = [
        (
            case,
            *(f"{round_[tree][case]:,.0f}" for round_ in rounds for tree in (0, 1)),
            f"{_ratio(case, rounds):.3f}",
        )
        for case in rounds[0][0]
    ]
    trees = [name for number in range(len(rounds)) for name in (f"this {number + 1}", against)]
    return Sheet("Events per CPU second", ("case", *trees, "ratio"), rows)


if __name__ == "__main__":
    sys.exit(main())
