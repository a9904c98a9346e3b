"""The pages of the documentation, and the commands on them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)

_FENCE: Final = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?:^|(?<=\n))\n((?: {4}\S.*(?:\n|$)|\n(?= {4}\S))+)")
_STARTS: Final = (
    "sentinel ",
    "make ",
    "docker ",
    "sh ",
    "python",
    "pytest",
    ".venv/bin/",
    ".ci/run",
    "curl ",
    "helm ",
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, and the line that it begins at."""

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its lines without comments and with joined continuations."""
        joined = self.text.replace("\\\n", " ")
        bare = [re.sub(r"(^|\s+)#( .*|$)", "", line).strip() for line in joined.splitlines()]
        return [line for line in bare if line]


def text(page: str) -> str:
    """A page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """Fenced blocks, and indented ones that hold commands: these have the language `sh` too."""
    whole = text(page)
    for found in _FENCE.finditer(whole):
        yield Block(page, _line(whole, found.start()), found[1], found[2])
    # Same length and lines, so that what is fenced is not looked at twice.
    outside = _FENCE.sub(lambda found: re.sub(r"[^\n]", "x", found[0]), whole)
    for found in _INDENTED.finditer(outside):
        if found[1].strip().startswith(_STARTS):
            yield Block(
                page,
                _line(whole, found.start(1)),
                "sh",
                re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE),
            )


def _line(whole: str, place: int) -> int:
    return whole.count("\n", 0, place) + 1
