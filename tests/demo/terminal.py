"""A pseudo-terminal for a program, and the lines that a person sees in it afterwards."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

WIDTH: Final = 160
_STEP: Final = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\r|\n|\x1b[\]()].[^\x07]*\x07?|[^\r\n\x1b]+")


def lines(written: str, width: int = WIDTH) -> list[str]:
    """What is on the screen and above it after a program wrote this.

    >>> lines("half a\\x1b[2K\\rwhole\\r\\nbar 1\\r\\x1b[2Kbar 2")
    ['whole', 'bar 2']
    """
    rows, row, column = [""], 0, 0
    for step in _STEP.finditer(written):
        text = step[0]
        if text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif step[2]:
            count = int(step[1]) if step[1].isdigit() else 1
            row = max(row - count, 0) if step[2] == "A" else row
            if step[2] == "K":
                rows[row] = "" if step[1] == "2" else rows[row][:column]
        elif not text.startswith("\x1b"):
            for character in text:
                if column == width:
                    row, column = row + 1, 0
                    rows += [""] * (row + 1 - len(rows))
                rows[row] = rows[row][:column].ljust(column) + character + rows[row][column + 1 :]
                column += 1
    return [line.rstrip() for line in rows]


class Terminal:
    """A program that runs in one."""

    def __init__(self, process: "subprocess.Popen[bytes]", screen: int) -> None:
        self.process = process
        self._screen = screen
        self.written = ""

    def type(self, text: str) -> None:
        """Somebody types this."""
        os.write(self._screen, text.encode())

    def until(self, seen: Callable[[str], bool], within_s: float) -> str:
        """What was written so far, once this is so. Fails when it is not so in time, or the program
        ends before.
        """
        deadline = time.monotonic() + within_s
        while not seen(self.written):
            left = deadline - time.monotonic()
            assert left > 0, f"not seen within {within_s:g} s:\n" + "\n".join(lines(self.written))
            if select.select([self._screen], [], [], left)[0]:
                try:
                    self.written += os.read(self._screen, 65_536).decode(errors="replace")
                except OSError:  # What Linux answers when nobody has the other side open any more.
                    assert seen(self.written), "it ended:\n" + "\n".join(lines(self.written))
        return self.written


@contextmanager
def terminal(
    command: Sequence[str], environment: Mapping[str, str], cwd: str | None = None
) -> Iterator[Terminal]:
    """The program, with all three streams on a terminal of its own, until the end of the block."""
    screen, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=other,
        stdout=other,
        stderr=other,
        env={**environment, "TERM": "xterm"},
        cwd=cwd,
        start_new_session=True,
    )
    os.close(other)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)
