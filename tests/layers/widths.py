"""Lines that are too long, in every kind of text file but Python, whose lines ruff measures."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_COLUMNS: Final = 100

_SUFFIXES: Final = frozenset(
    {".js", ".css", ".html", ".svg", ".c", ".java", ".go", ".yml", ".yaml", ".toml", ".md"}
)
_NAMES: Final = frozenset({"Makefile", "Dockerfile", "make-secrets"})
_INDENTED_CODE: Final = " " * 4


def long_lines(folder: Path) -> list[str]:
    """Lines of more than `MAX_COLUMNS` characters in the files that git tracks, as `path:line`.

    In Markdown, tables, code blocks and lines without a space to wrap at may be longer. Raises
    subprocess.CalledProcessError where git knows no repository.
    """
    tracked = subprocess.run(
        ["git", "-C", str(folder), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        f"{name}:{number}"
        for name in tracked
        if (path := folder / name).suffix in _SUFFIXES or path.name in _NAMES
        for number, line in _measured(path)
        if len(line) > MAX_COLUMNS
    ]


def _measured(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that must not be long, by number."""
    is_prose = path.suffix == ".md"
    in_fence = False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if is_prose and line.lstrip().startswith("```"):
            in_fence = not in_fence
        if is_prose and (in_fence or _cannot_wrap(line)):
            continue
        yield number, line


def _cannot_wrap(line: str) -> bool:
    is_table = line.startswith("|")
    return is_table or line.startswith(_INDENTED_CODE) or not re.search(r"\S\s+\S", line)
