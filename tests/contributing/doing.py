"""What a page of docs/contributing says, done in a copy of the repository."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ROOT / "docs" / "contributing"

_COPIED: Final = ("schemas", "streams", "agents", "connectors", "topology", "tests", "docs")
_BLOCK: Final = re.compile(r"^```(python|diff|sh)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class PageIsWrong(Exception):
    """The page does not fit the code."""


def copied(folder: Path) -> None:
    """A copy of the packages, the tests and the pages."""
    for name in _COPIED:
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("__pycache__", "node_modules", "vendor"),
        )
    shutil.copy(ROOT / "pyproject.toml", folder)


def follow(page: str, folder: Path) -> list[str]:
    """Does all that the page says in the copy; returns the files that it names, each once.

    A `python` block with a path is a new file, a `diff` block an edit of a file, and a `cp` in an
    `sh` block is run. Raises PageIsWrong.
    """
    touched: dict[str, None] = {}
    for language, path, text in _BLOCK.findall((PAGES / page).read_text(encoding="utf-8")):
        if language == "sh":
            _copy(text, folder)
            continue
        touched[path] = None
        target = folder / path
        if language == "diff":
            target.write_text(_edited(target, text), encoding="utf-8")
        elif target.exists():
            raise PageIsWrong(f"{page}: {path} is not new")
        else:
            target.parent.mkdir(exist_ok=True)
            (target.parent / "__init__.py").touch()
            target.write_text(text, encoding="utf-8")
    return list(touched)


def run(folder: Path, *arguments: str) -> str:
    """Runs Python in the copy; returns what it writes. Fails with what it says."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _edited(target: Path, diff: str) -> str:
    lines = [(line[:1], line[1:]) for line in diff.splitlines()]
    before = "".join(f"{text}\n" for mark, text in lines if mark != "+")
    after = "".join(f"{text}\n" for mark, text in lines if mark != "-")
    whole = target.read_text(encoding="utf-8")
    if whole.count(before) != 1:
        raise PageIsWrong(f"{target.name} has this {whole.count(before)} times:\n{before}")
    return whole.replace(before, after)


def _copy(text: str, folder: Path) -> None:
    for command, *paths in filter(None, map(shlex.split, text.splitlines())):
        if command == "cp":
            source, target = paths
            shutil.copy(folder / source, folder / target)
