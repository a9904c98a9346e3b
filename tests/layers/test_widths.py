"""No line is longer than 100 columns, in any kind of file."""

import subprocess
from pathlib import Path

import pytest

from tests.layers.widths import MAX_COLUMNS, long_lines

ROOT = Path(__file__).parents[2]
LONG = "word " * (MAX_COLUMNS // len("word ")) + "x"


def test_no_line_is_too_long() -> None:
    """Of the files that git tracks; ruff measures those of Python."""
    try:
        assert long_lines(ROOT) == []
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("not a clone of the repository")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("page.js", f"ok\n// {LONG}", ["page.js:2"]),
        ("Makefile", f"\t{LONG}", ["Makefile:1"]),
        ("page.md", f"{LONG}\n", ["page.md:1"]),
        ("page.md", f"```sh\n{LONG}\n```\n\n{LONG}\n", ["page.md:5"]),
        ("page.md", f"| {LONG} |\n\n    {LONG}\n\n{'x' * 120}\n", []),
        ("data.json", LONG, []),
    ],
)
def test_a_long_line_is_found_where_it_could_be_shorter(
    tmp_path: Path, name: str, text: str, found: list[str]
) -> None:
    """In code and in prose; not in a table, a code block, or where there is nothing to wrap at."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / name).write_text(text)
    subprocess.run(["git", "-C", str(tmp_path), "add", name], check=True)
    assert long_lines(tmp_path) == found
