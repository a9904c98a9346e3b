"""A record of which native code dies, under `sentinel standalone` on a real Kafka; and what
`sentinel lanes` then says and does.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from streams.lane.outgoing import REASON
from tests.harness.telemetry_log import good
from tests.harness.worker import Installation, until
from tests.stages.standalone import Standalone, standalone

LANE = 1

DEADLY = b"of which the decoder dies"

DIES = f"""
import os, signal
from schemas.telemetry.columns import Decoder

stock = Decoder.decode

def decode(self, values, columns):
    if any(value is not None and {DEADLY!r} in value for value in values):
        os.kill(os.getpid(), signal.SIGSEGV)
    return stock(self, values, columns)

Decoder.decode = decode
"""
"""A defect in native code, for every Python process that finds this module on its path as
`sitecustomize`.
"""


@pytest.fixture
def running(installation: Installation) -> Iterator[Standalone]:
    """With the defect in all its processes."""
    path = installation.folder / "path"
    path.mkdir()
    (path / "sitecustomize.py").write_text(DIES)
    with standalone(installation, {"PYTHONPATH": str(path)}) as started:
        yield started


def lanes(running: Standalone, *words: str) -> str:
    """What `sentinel lanes` prints, whatever its exit status."""
    command = [sys.executable, "-m", "topology", "lanes", *words, "--config", str(running.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


def position(running: Standalone) -> int:
    """Of the lane, as `sentinel lanes show` prints it; 0 while it has no state."""
    rows = [line.split() for line in lanes(running, "show", "detect").splitlines()]
    found = [[cell for cell in row if cell not in "│┃|"] for row in rows]
    return next((int(cells[1]) for cells in found if cells[:1] == [str(LANE)]), 0)


def test_a_record_that_kills_the_decoder_is_skipped_and_its_neighbours_count(
    installation: Installation, running: Standalone
) -> None:
    """The worker dies of it, is started again, and goes on behind it; the record is among the dead
    letters, whole, with the reason.

    Then the lane is looked at, cannot be reset under its worker, and is reset when that has ended.
    """
    deadly = good(0, 0).value or b""
    topic = installation.names.telemetry
    installation.send(topic, LANE, [good(0, 0).value, deadly + DEADLY, good(0, 1).value])

    running.wait("it is skipped from now on")
    until(lambda: position(running) >= 3, running.said)

    (letter,) = installation.read(installation.names.dead_letters)
    assert letter.value == deadly + DEADLY
    assert letter.headers[REASON] == b"kills the decoder"
    offset = letter.headers["sentinel-offset"].decode()
    assert f"record {topic}/{LANE} offset {offset} kills the decoder" in running.said
    assert running.said.count("detect died") == 1
    assert "workers of detect are running; stop them first" in lanes(
        running, "reset", "detect", "--yes"
    )

    assert running.end() == 0
    assert f"lane detect/{LANE}: would forget" in lanes(
        running, "reset", "detect", "--lane", str(LANE)
    )
    assert position(running) >= 3
    assert f"lane detect/{LANE}: forgot" in lanes(
        running, "reset", "detect", "--lane", str(LANE), "--yes"
    )
    assert position(running) == 0
