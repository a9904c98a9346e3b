"""`make demo`: it stays in a terminal, so that the page can be looked at, and ends where nobody
could press Ctrl-C.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.terminal import lines, terminal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """`make demo` with another `sentinel`, which only says how it was called; what is set up
    already is left alone.
    """
    said = tmp_path / "sentinel"
    said.write_text('#!/bin/sh\necho "called: $*."\n')
    said.chmod(0o755)
    return ["make", "demo", f"BIN={tmp_path}", "--old-file=setup"]


@pytest.fixture
def environment() -> dict[str, str]:
    """Without what a `make test` around this one hands down: a make inside another says which
    folder it enters.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }


def test_in_a_terminal_it_stays(command: list[str], environment: dict[str, str]) -> None:
    """Nothing asks the demo to end when it is done."""
    with terminal(command, environment, cwd=str(ROOT)) as opened:
        assert "called: demo." in lines(opened.until(lambda written: "called" in written, 30))


def test_in_a_pipe_it_ends(command: list[str], environment: dict[str, str]) -> None:
    """As in a script or in CI."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "called: demo --exit-when-done.\n"


@pytest.mark.parametrize("more", [[], ["--json", "--exit-when-done"]])
def test_the_first_line_comes_before_anything_is_loaded(more: list[str]) -> None:
    """The person who started it reads within a second that it runs, on a busy machine too; JSON has
    standard output to itself.
    """
    code = f"""
import sys
from topology.cli import main
class Stderr:
    def write(self, text):
        heavy = {{
            "faust", "aiokafka", "confluent_kafka", "polars", "numpy", "pydantic", "aiohttp", "rich"
        }} & set(sys.modules)
        sys.stdout.write(f"{{text.strip()}} {{sorted(heavy)}}")
        sys.stdout.flush()
        raise KeyboardInterrupt
sys.stderr = Stderr()
main({["demo", *more]})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("starting a broker")
    assert done.stdout.endswith(" []")
