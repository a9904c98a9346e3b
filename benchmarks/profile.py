"""Where a detect worker spends its time on a backlog, as a flame graph.

    python -m benchmarks.profile [--output profile.svg] [--events 3000000] [--detectors]

py-spy samples the worker from outside, all threads, native frames not included, while it works off
the backlog of `benchmarks.throughput`: windows only, or with all detectors. Open the SVG in a
browser; the widest boxes are where the time goes.
"""

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.backlogs import measured
from benchmarks.throughput import cases
from tests.harness.showing import BenchmarkFailed, Screen, end_in_order

_SAMPLES_PER_S: Final = 200
_SUBJECTS: Final = 3_000
_WRITES_S: Final = 120.0


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python -m benchmarks.profile --detectors --output detectors.svg",
    )
    parser.add_argument("--output", type=Path, default=Path("profile.svg"), help="(profile.svg)")
    parser.add_argument("--events", type=int, default=3_000_000, help="of the backlog (3,000,000)")
    parser.add_argument(
        "--detectors",
        action="store_true",
        help="rules, deviation and profile too, not windows only",
    )
    options = parser.parse_args(arguments)
    screen, output = Screen(as_json=False), options.output.resolve()
    end_in_order()
    windows_only, with_detectors = cases([_SUBJECTS])
    case = with_detectors if options.detectors else windows_only
    try:
        rate = measured(case, options.events, screen, lambda pid: _sampled(pid, output))
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.profile: {why}")
    if not output.exists():
        sys.exit("benchmarks.profile: py-spy wrote nothing; its last lines are above")
    screen.note(f"{rate.events_per_cpu_s:,} events per CPU second while sampled; see {output}")


@contextlib.contextmanager
def _sampled(pid: int, output: Path) -> Iterator[None]:
    """Samples a process until it ends. Raises BenchmarkFailed without py-spy."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy is None:
        raise BenchmarkFailed("py-spy is not installed: make setup")
    command = [spy, "record", "--pid", str(pid), "--rate", str(_SAMPLES_PER_S), "--threads"]
    # Where a process may not look at one that is not its child, it says so with the way out.
    recording = subprocess.Popen([*command, "--output", str(output)], stdout=sys.stderr)
    try:
        yield
        recording.wait(_WRITES_S)
    finally:
        if recording.poll() is None:
            recording.send_signal(signal.SIGINT)
            recording.wait(_WRITES_S)


if __name__ == "__main__":
    main()
