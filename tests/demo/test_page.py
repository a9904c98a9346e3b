"""The demo as a person meets it: an address first, then what is found, and everything stays until
Ctrl-C.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.system

LINK = re.compile(r"the page: (http://127\.0\.0\.1:\d+)/#token=(\S+)")
ENDED = "everything runs on"


class Shown:
    """A running demo, and the lines that it has shown so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, text: str) -> str:
        """The next line that holds this."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}:\n{''.join(self.lines)}")


@pytest.fixture(scope="module")
def demo() -> Iterator[Shown]:
    """Played, and staying."""
    command = [sys.executable, "-m", "topology", "demo", "--speed", "0"]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")
    }
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            shown = Shown(process)
            shown.until(ENDED)
            yield shown
        finally:
            process.kill()


def _get(url: str, token: str | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=300
    ) as answer:
        body: bytes = answer.read()
        return body


def _listed(demo: Shown, path: str) -> list[dict[str, Any]]:
    page, token = _link(demo)
    items: list[dict[str, Any]] = json.loads(_get(f"{page}/api/v1/{path}", token))["items"]
    return items


def _link(demo: Shown) -> tuple[str, str]:
    found = LINK.search("".join(demo.lines))
    assert found is not None
    return found[1], found[2]


def test_the_address_of_the_page_comes_before_anything_that_was_found(demo: Shown) -> None:
    """Then, as they happen, each fault with its delay and each message."""
    what = [
        line.split()[0]
        for line in demo.lines
        if LINK.match(line) or line.startswith(("found ", "message "))
    ]
    assert what[0] == "the"
    assert what.count("found") == 7
    assert what.count("message") >= 7


def test_the_page_shows_what_was_found_to_whoever_has_the_link(demo: Shown) -> None:
    """The store behind it has every incident; without the token it tells nothing."""
    page, _ = _link(demo)
    assert len(_listed(demo, "incidents?tenant=demo")) >= 5
    with pytest.raises(urllib.error.HTTPError, match="401"):
        _get(f"{page}/api/v1/incidents?tenant=demo")


def test_a_message_links_to_where_the_page_shows_its_incident(demo: Shown) -> None:
    """The workers are told the page's address, and what it answers there is the page."""
    page, _ = _link(demo)
    pid = next(
        worker.pid
        for worker in psutil.Process(demo.process.pid).children()
        if "alert" in worker.cmdline()
    )
    told = psutil.Process(pid).environ()
    assert told["SENTINEL_ALERTING__PAGE_URL"] == page
    assert "SENTINEL_API__TOKEN_FILE" not in told
    incident = _listed(demo, "incidents?tenant=demo")[0]
    assert b"<html" in _get(f"{page}/incidents/demo/{incident['id']}").lower()


def test_ctrl_c_ends_everything_in_order(demo: Shown) -> None:
    """With status 0, since the result was there; nothing answers any more."""
    page, _ = _link(demo)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        _get(f"{page}/live")
