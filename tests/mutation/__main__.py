"""Takes every protection away in turn: do the tests notice?

    python -m tests.mutation [--only TEXT] [--list] [--json]

Works on a copy of the project in a temporary folder. Exit status 0 only if each protection, taken
away, turns at least one test red; survivors are listed. Takes about a quarter of an hour.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mutation.catalogue import MUTATIONS, Mutation

ROOT: Final = Path(__file__).parents[2]
_LONGEST_S: Final = 600.0


class Stale(Exception):
    """The code is no longer as the catalogue has it."""


def copied(folder: Path) -> Path:
    """The project's own files as they are now, and its servers."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".servers").symlink_to(ROOT / ".servers")
    _compile(folder)
    return folder


def _compile(project: Path) -> None:
    """The native code of the copy."""
    subprocess.run([sys.executable, project / "schemas" / "native" / "building.py"], check=True)


def survives(mutation: Mutation, project: Path) -> bool:
    """Whether no test notices. Raises Stale."""
    file = project / mutation.file
    sound = file.read_text()
    if sound.count(mutation.old) != 1:
        raise Stale(f"{mutation.file} has {sound.count(mutation.old)} places for: {mutation.name}")
    file.write_text(sound.replace(mutation.old, mutation.new))
    try:
        if file.suffix == ".c":
            _compile(project)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Who hangs is seen too.
        return False
    finally:
        file.write_text(sound)
        if file.suffix == ".c":
            _compile(project)
    # 2 and 3 are tests that fail so badly that pytest does not get to its end.
    if done.returncode > 3:
        raise Stale(f"the tests of {mutation.name} do not run: {done.stdout[-500:]}")
    return done.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = _options(arguments)
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    if options.list:
        sys.stdout.writelines(f"{mutation.name}: {mutation.file}\n" for mutation in chosen)
        return 0
    survivors, stale = [], []
    with tempfile.TemporaryDirectory(prefix="sentinel-mutation-") as name:
        project = copied(Path(name))
        for mutation in chosen:
            began = time.monotonic()
            try:
                lives = survives(mutation, project)
            except Stale as why:
                stale.append(str(why))
                sys.stderr.write(f"STALE    {why}\n")
                continue
            survivors += [mutation.name] if lives else []
            sys.stderr.write(
                f"{'SURVIVES' if lives else 'noticed '} {time.monotonic() - began:5.1f} s "
                f" {mutation.name}\n"
            )
    told = {"mutations": len(chosen), "survivors": survivors, "stale": stale}
    sys.stdout.write(
        json.dumps(told) + "\n"
        if options.json
        else f"{len(chosen)} mutations, {len(survivors)} survivors\n"
    )
    return 1 if survivors or stale else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=(__doc__ or "").split("\n")[0],
        epilog='example: python -m tests.mutation --only "stale"',
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="those whose name has this text (all)"
    )
    parser.add_argument("--list", action="store_true", help="name them, and end")
    parser.add_argument("--json", action="store_true", help="print one object")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
