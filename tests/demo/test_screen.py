"""What the demo shows can be read, in a terminal and where a program reads it."""

import os
import subprocess
import sys

import pytest

from tests.demo.terminal import lines, terminal

SHOWS = """
import time
from types import SimpleNamespace as Any
from topology.demo.progress import Seen
from topology.demo.receiver import Message
from topology.demo.screen import Screen
with Screen() as screen:
    screen.note("the broker answers at 127.0.0.1:1")
    screen.processes({"api": Seen(1), "detect": Seen(2)}, 11.0)
    screen.processes({"api": Seen(1, ready=True), "detect": Seen(2)}, 12.0)
    screen.page("http://127.0.0.1:1/#token=t")
    screen.begin(28_193, 0)
    for minute in range(60):
        screen.played(minute * 470, minute * 60_000_000)
        time.sleep(0.03)
        if minute % 10 == 5:
            fault = Any(name=f"fault {minute}", application="chat")
            screen.found(fault, Any(metric="cost", detector="deviation"), 30.0)
            title = f"cost of chat, {minute} minutes on"
            screen.message(Message(str(minute), "incident.opened", "high", title))
    screen.sent()
    screen.processes({"api": Seen(1, ready=True, idle=True), "detect": Seen(2, ready=True)}, 80.0)
    time.sleep(0.3)
print("the end")
"""
NEWS = [
    line
    for minute in range(5, 60, 10)
    for line in (
        f"found    fault {minute} after 30 s in chat, by cost (deviation)",
        f"message  opened     high     cost of chat, {minute} minutes on",
    )
]


@pytest.mark.system
def test_in_a_terminal_every_line_is_whole_and_the_bar_below_goes() -> None:
    """A bar that is drawn again must not write over half of what is printed meanwhile."""
    environment = {**os.environ, "COLUMNS": "160"}
    with terminal([sys.executable, "-c", SHOWS], environment) as opened:
        written = opened.until(lambda written: "the end" in written, 30)
    shown = [line for line in lines(written) if line]
    assert shown == [
        "the broker answers at 127.0.0.1:1",
        "api is ready after 12 s",
        "the page: http://127.0.0.1:1/#token=t",
        "playing 28,193 events of 59 minutes",
        *NEWS,
        "the end",
    ]
    assert "waiting for detect" in written
    assert "28,193 events" in written


@pytest.mark.system
def test_where_a_program_reads_it_lines_say_what_is_waited_for_and_how_far_it_is() -> None:
    """No bar, no control characters; a line of progress now and then on a slow machine."""
    done = subprocess.run([sys.executable, "-c", SHOWS], capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stderr
    shown = done.stderr.splitlines()
    assert [line for line in shown if line.startswith(("found", "message"))] == NEWS
    assert "starting: waiting for api, detect, 11 s after the start" in shown
    assert [line for line in shown if line.startswith("playing:")] == [
        f"playing: {minute}:00  {minute * 470:,} of 28,193 events" for minute in range(10, 60, 10)
    ]
    assert "finishing: waiting for detect, 80 s after the start" in shown
