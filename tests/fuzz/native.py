"""The native code under sanitizers, given random programs, records and batches."""

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from schemas.native.building import SOURCE

HARNESS = Path(__file__).with_name("native_harness.c")
FLAGS = ("-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class NoSanitizers(Exception):
    """This machine cannot compile with them; says what is missing."""


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    good: int
    plain: int


def compiled(folder: Path) -> Path:
    """The program. Raises NoSanitizers."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise NoSanitizers(f"there is no C compiler {compiler[0]}")
    program = folder / "native_harness"
    done = subprocess.run(
        [*compiler, *FLAGS, f"-I{SOURCE.parent}", "-o", str(program), str(HARNESS)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoSanitizers(
            f"{compiler[0]} does not compile with sanitizers:"
            f" {done.stderr.strip().splitlines()[-1:]}"
        )
    return program


def run(program: Path, seed: int, runs: int) -> Ran:
    """Runs programs and batches. Raises AssertionError with what the sanitizers say."""
    done = subprocess.run(
        [str(program), str(seed), str(runs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"seed {seed}, {runs} runs: {done.stderr or done.returncode}"
    good, plain = map(int, done.stdout.split())
    return Ran(good, plain)
