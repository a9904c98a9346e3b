"""A benchmark's command, run as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(command: str, *options: str) -> dict[str, Any]:
    """The object that the command prints; standard output holds nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{command}", "--json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    assert "cores" in result["machine"]
    return result
