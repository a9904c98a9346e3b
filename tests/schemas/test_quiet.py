"""What a library prints of itself does not reach standard error; what we have to say does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_DECODES = """
import os, sys
from schemas.telemetry.columns import packaged_decoder
from schemas.records.telemetry import Operation, Status, TelemetryEvent
if {without}:
    import schemas.telemetry.columns
    schemas.telemetry.columns.NATIVE = None
good = TelemetryEvent(event_id="e", event_time=1_760_000_000_000_000, tenant="acme",
                      application="shop", model="m",
    operation=Operation.CHAT, status=Status.SUCCESS, latency_us=1).to_bytes()
bad = [good[:5] + b"abc", good[:-3], good + b"x", b"garbage", b"", None, good[:5] + b"\\xff" * 40]
decoded = packaged_decoder().decode([good, *bad] * 3, ("event_time", "tenant"))
assert len(decoded.bad) == 3 * len(bad), decoded.bad
os.write(2, b"heard again")
"""


@pytest.mark.parametrize("without", [True, False])
def test_records_that_do_not_decode_print_nothing(without: bool) -> None:
    """With the native code and without it, whatever RUST_BACKTRACE says; afterwards standard
    error is there again.
    """
    ran = subprocess.run(
        [sys.executable, "-c", _DECODES.format(without=without)],
        env={**os.environ, "RUST_BACKTRACE": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "heard again")


_TELLS = """
import faulthandler, os
from schemas.telemetry.quiet import STDERR
from topology import logs
logs.configure("info")
with STDERR.quiet(), STDERR.quiet():
    os.write(2, b"a library")
    logs.log_for("sentinel.test").info("said")
    faulthandler.dump_traceback(STDERR.fileno())
logs.log_for("sentinel.test").info("after")
"""


def test_what_we_log_meanwhile_is_there() -> None:
    """Log lines and the watchdog's dump of threads, in the midst of it."""
    ran = subprocess.run(
        [sys.executable, "-c", _TELLS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a library" not in ran.stderr
    assert [word in ran.stderr for word in ('"said"', "most recent call first", '"after"')] == [
        True
    ] * 3
