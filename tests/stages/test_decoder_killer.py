"""A record of which native code dies, under `sentinel standalone` on a real Kafka; and what `sentinel lanes` then says and does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from streams.outgoing import REASON
from tests.detection.log import good
from tests.stages.workers import Installation, until

LANE = 1

DEADLY = b"of which the decoder dies"

DIES = f"""
import os, signal
from schemas.columns import Decoder

stock = Decoder.decode

def decode(self, values, columns):
    if any(value is not None and {DEADLY!r} in value for value in values):
        os.kill(os.getpid(), signal.SIGSEGV)
    return stock(self, values, columns)

Decoder.decode = decode
"""
"""A defect in native code, for every Python process that finds this module on its path as `sitecustomize`."""


class Standalone:
    """`sentinel standalone` over an installation, in whose processes the decoder has the defect."""

    def __init__(self, installation: Installation) -> None:
        (installation.folder / "path").mkdir()
        (installation.folder / "path" / "sitecustomize.py").write_text(DIES)
        self._log = installation.folder / "standalone.log"
        self._config = installation.config()
        command = [sys.executable, "-m", "topology", "standalone", "--config", str(self._config)]
        with self._log.open("wb") as out:
            ours = {**os.environ, "PYTHONPATH": str(installation.folder / "path")}
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env=ours)

    @property
    def said(self) -> str:
        """All of it, without the line breaks that are a terminal's."""
        return " ".join(self._log.read_text().split())

    def wait(self, text: str, times: int = 1) -> None:
        """Until it said so."""
        until(lambda: self.said.count(text) >= times or self._process.poll() is not None, text)
        assert self._process.poll() is None, self.said

    def lanes(self, *words: str) -> str:
        """What `sentinel lanes` prints, whatever its exit status."""
        command = [sys.executable, "-m", "topology", "lanes", *words, "--config", str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def end(self) -> int:
        """Its exit status when it is told to end."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """However it is."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def standalone(installation: Installation) -> Iterator[Standalone]:
    """Started, with all stages at work."""
    running = Standalone(installation)
    try:
        running.wait("worker.started", 3)
        yield running
    finally:
        running.kill()


def position(standalone: Standalone) -> int:
    """Of the lane, as `sentinel lanes show` prints it; 0 while it has no state."""
    rows = [line.split() for line in standalone.lanes("show", "detect").splitlines()]
    found = [[cell for cell in row if cell not in "│┃|"] for row in rows]
    return next((int(cells[1]) for cells in found if cells[:1] == [str(LANE)]), 0)


def test_a_record_that_kills_the_decoder_is_skipped_and_its_neighbours_count(
    installation: Installation, standalone: Standalone
) -> None:
    """The worker dies of it, is started again, and goes on behind it; the record is among the dead letters, whole, with the reason.

    Then the lane is looked at, cannot be reset under its worker, and is reset when that has ended.
    """
    deadly = good(0, 0).value or b""
    topic = installation.names.telemetry
    installation.send(topic, LANE, [good(0, 0).value, deadly + DEADLY, good(0, 1).value])

    standalone.wait("it is skipped from now on")
    until(lambda: position(standalone) >= 3, standalone.said)

    (letter,) = installation.read(installation.names.dead_letters)
    assert letter.value == deadly + DEADLY
    assert letter.headers[REASON] == b"kills the decoder"
    offset = letter.headers["sentinel-offset"].decode()
    assert f"record {topic}/{LANE} offset {offset} kills the decoder" in standalone.said
    assert standalone.said.count("detect died") == 1
    assert "workers of detect are running; stop them first" in standalone.lanes("reset", "detect", "--yes")

    assert standalone.end() == 0
    assert f"lane detect/{LANE}: would forget" in standalone.lanes("reset", "detect", "--lane", str(LANE))
    assert position(standalone) >= 3
    assert f"lane detect/{LANE}: forgot" in standalone.lanes("reset", "detect", "--lane", str(LANE), "--yes")
    assert position(standalone) == 0
