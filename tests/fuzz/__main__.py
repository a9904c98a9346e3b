"""Looks for inputs that the native code, the reading of batches or the API cannot take.

    python -m tests.fuzz                 the short form, which `make test` has: some seconds
    python -m tests.fuzz --long          ten minutes, with a seed of its own, and as many for the
    API
    python -m tests.fuzz --seconds 60 --seed 7

Ends with status 1 and the input at the first one that does harm. The seed that it prints finds it
again.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.fuzz import both_ways, native

SHORT_S, LONG_S = 10.0, 600.0
_NATIVE_RUNS, _BATCHES = 20_000, 50


def fuzz(seconds: float, seed: int) -> dict[str, object]:
    """Half of the time for each; the answer says how much was tried. Raises AssertionError with
    what was found.
    """
    tried: dict[str, object] = {"seed": seed, "programs": 0, "batches": 0}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = native.compiled(Path(folder))
        except native.NoSanitizers as missing:
            tried["programs"] = f"none: {missing}"
        else:
            rounds = 0
            while rounds == 0 or time.monotonic() - began < seconds / 2:
                native.run(program, seed + rounds, _NATIVE_RUNS)
                rounds += 1
            tried["programs"] = rounds * _NATIVE_RUNS
    rounds = batches = 0
    while rounds == 0 or time.monotonic() - began < seconds:
        batches += both_ways.run(seed + rounds, _BATCHES)
        rounds += 1
    return tried | {"batches": batches}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--long", action="store_true", help=f"for {LONG_S:g} s, with a new seed")
    parser.add_argument("--seconds", type=float, help=f"how long; by default {SHORT_S:g}")
    parser.add_argument(
        "--seed",
        type=int,
        help="of the random numbers; by default 1, and the time in the long form",
    )
    asked = parser.parse_args()
    seconds = asked.seconds if asked.seconds is not None else LONG_S if asked.long else SHORT_S
    seed = asked.seed if asked.seed is not None else int(time.time()) if asked.long else 1
    print(f"seed {seed}", flush=True)
    try:
        print(fuzz(seconds, seed))
    except AssertionError as found:
        print(found, file=sys.stderr)
        return 1
    if asked.long:
        # Its short form is in `make test` as it is.
        os.environ["SENTINEL_FUZZ"] = "long"
        return int(pytest.main(["-q", str(Path(__file__).parent / "test_api.py")]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
