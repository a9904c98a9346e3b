"""Starts a module of this program as a child process that announces its address.

The child ends with the process that started it (`topology.supervision.orphans`), and prints its
address as the first line of its output.
"""

import os
import subprocess
import sys

from topology.supervision.orphans import PARENT


def start_announcing(
    module: str, *, stdin: int = subprocess.DEVNULL, stderr: int | None = None
) -> tuple[subprocess.Popen[str], str]:
    """The running `python -m module`, and its address. The address is empty if it ended without
    one.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, PARENT: str(os.getpid())},
        text=True,
        # Ctrl-C at the terminal is for the parent, which ends the child last.
        process_group=0,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end_at_once(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and closes its pipes. Returns when it has ended; fine if it had ended before."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                # It had not read everything.
                continue
