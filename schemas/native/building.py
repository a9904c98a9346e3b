"""`python schemas/native/building.py` compiles all C of the project, each source to a library in
its own folder, as the wheel's build does (hatch_build.py). It needs a C compiler, `cc` or the one
that `CC` names, and nothing else, not even Python's headers. The result works with every Python on
this kind of machine.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("native.c")
LIBRARY = SOURCE.with_suffix(".so")
JUDGE = SOURCE.parents[2] / "agents" / "detectors" / "deviation" / "judge.c"
# No fused multiply-add, and no reordering: every machine computes the same numbers.
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-Wall", "-Wextra", "-ffp-contract=off")


class CannotCompile(Exception):
    """There is no compiler, or it rejects the source; the text says which."""


def build(target: Path = LIBRARY, *more_flags: str, source: Path = SOURCE) -> None:
    """Compiles, and replaces an existing file atomically: a process that has loaded it keeps it.

    Raises:
        CannotCompile: see there.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    made = target.with_suffix(f".{os.getpid()}.so")
    try:
        done = subprocess.run(
            [*compiler, *_FLAGS, *more_flags, "-o", str(made), str(source), "-lm"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotCompile(
                f"{compiler[0]} does not compile {source.name}: {done.stderr.strip()[-1000:]}"
            )
        made.replace(target)
    except OSError as why:
        raise CannotCompile(f"no C compiler: {why}") from None
    finally:
        made.unlink(missing_ok=True)


def build_all() -> None:
    """Compiles every source. Raises CannotCompile."""
    build()
    build(JUDGE.with_suffix(".so"), source=JUDGE)


if __name__ == "__main__":
    try:
        build_all()
    except CannotCompile as why:
        sys.exit(f"sentinel: {why}")
