"""The third fate of an error: the process ends with a status that says why, and nothing runs after
it.
"""

import re
import subprocess
import sys

import pytest

_HEAD = """
import asyncio, atexit, sys
from aiokafka.errors import KafkaConnectionError, ProducerFenced
from polars.exceptions import PanicException
from streams.exit_status import end_process, ends_process
from streams.state.chunks import NewerState
from streams.state.position import Refused
atexit.register(print, "a handler ran")
"""


def ended(code: str, debug: bool = False) -> subprocess.CompletedProcess[str]:
    """A process that ran this code."""
    environment = {"SENTINEL_DEBUG": "1"} if debug else {}
    return subprocess.run(
        [sys.executable, "-c", _HEAD + code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("RuntimeError('boom')", 70, "ending, since RuntimeError: boom"),
        ("PanicException('boom')", 70, "ending, since PanicException: boom"),
        ("Refused('do this')", 78, "do this"),
        ("NewerState('state is newer')", 78, "state is newer"),
        ("ProducerFenced('old')", 75, "another worker took over a lane"),
        (
            "ExceptionGroup('tasks', [ExceptionGroup('tasks', [KafkaConnectionError('gone')])])",
            75,
            "did not answer in time",
        ),
        (
            "ExceptionGroup('tasks', [KafkaConnectionError('gone'), Refused('do this')])",
            78,
            "do this",
        ),
        (
            "ExceptionGroup('tasks', [Refused('do this'), RuntimeError('boom')])",
            70,
            "ending, since RuntimeError: boom",
        ),
    ],
)
def test_an_error_of_a_callback_ends_the_process_at_once(
    error: str, status: int, line: str
) -> None:
    """Its status tells a supervisor what to do, its line a person; no handler runs, so nothing is
    committed on the way out.
    """
    done = ended(f"""
@ends_process
async def callback():
    raise {error}

async def gathered():
    # As Faust calls many callbacks: their exceptions are gathered and forgotten.
    await asyncio.gather(callback(), return_exceptions=True)
    print("went on")

asyncio.run(gathered())
""")
    assert (done.returncode, done.stdout) == (status, "")
    assert line in done.stderr
    assert ("Traceback" in done.stderr) == (status == 70)


def test_cancellation_is_passed_on() -> None:
    """It is how Faust stops things: the process goes on."""
    done = ended("""
@ends_process
async def callback():
    await asyncio.sleep(60)

async def cancelled():
    task = asyncio.create_task(callback())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    print("cancelled" if task.cancelled() else "?")

asyncio.run(cancelled())
""")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "cancelled")


def test_debug_shows_where_a_refusal_came_from() -> None:
    """Without it a refusal is one plain line."""
    refusing = "end_process(Refused('do this'))"
    assert ended(refusing).stderr == "do this\n"
    assert (
        "Traceback"
        in ended(
            "try:\n    raise Refused('do this')\nexcept Refused as error:\n    end_process(error)",
            True,
        ).stderr
    )


def test_what_a_callback_answers_is_passed_on() -> None:
    """The guard changes nothing else."""
    done = ended("""
@ends_process
async def callback(number, *, name):
    "What it does."
    return number, name

print(asyncio.run(callback(7, name="x")), callback.__doc__)
""")
    assert done.stdout.splitlines()[0] == "(7, 'x') What it does."


@pytest.mark.parametrize(
    ("making", "status"),
    [
        # As `raise fault from fault` makes it.
        ("error = KafkaError('boom'); error.__cause__ = error", 70),
        (
            (
                "error, other = KafkaError('boom'), KafkaError('bang'); error.__cause__,"
                " other.__cause__ = other, error"
            ),
            70,
        ),
        ("error = Refused('do this'); error.__cause__ = error.__context__ = error", 78),
        (
            (
                "inner = KafkaError('boom'); error = ExceptionGroup('tasks', [inner]);"
                " inner.__cause__ = error"
            ),
            70,
        ),
        (
            (
                "error = Refused('do this')\nfor _ in range(5_000): error = ExceptionGroup('tasks',"
                " [error])"
            ),
            78,
        ),
    ],
)
def test_causes_in_a_circle_and_groups_without_end_do_not_hold_up_the_end(
    making: str, status: int
) -> None:
    """Each is looked at once."""
    done = ended(f"from aiokafka.errors import KafkaError\n{making}\nend_process(error)")
    assert done.returncode == status
    # Not by the limit on saying it.
    assert re.search("boom|do this", done.stderr)


def test_a_log_that_nobody_reads_does_not_hold_up_the_end() -> None:
    """Its pipe is full, so whoever writes to it waits for ever; the status is the right one all the
    same.
    """
    code = """
import os, threading
import streams.exit_status as ending
ending.SAID_WITHIN_S = 0.5
threading.Thread(target=os.write, args=(2, b"x" * 1_000_000), daemon=True).start()
end_process(Refused("do this"))
"""
    process = subprocess.Popen([sys.executable, "-c", _HEAD + code], stderr=subprocess.PIPE)
    try:
        assert process.wait(30) == 78
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("hung", ["asyncio.to_thread(wait)", "asyncio.sleep(60)"])
def test_an_orderly_end_that_hangs_is_ended(hung: str) -> None:
    """By a thread that waits for a disk, which Python's own exit joins, or by what is awaited: it
    is said where.
    """
    done = ended(f"""
from streams.exit_status import end_within
import time

def wait():
    time.sleep(60)

async def main():
    waiting = asyncio.ensure_future({hung})
    await asyncio.sleep(0.1)
    end_within(0.5)
    await waiting

asyncio.run(main())
""")
    assert done.returncode == 75
    assert "did not end within 0.5 s" in done.stderr
    assert "Thread" in done.stderr


def test_what_is_bounded_returns_and_raises_what_it_raised() -> None:
    """Also when it takes its cancellation for nothing."""
    done = ended("""
from streams.exit_status import bounded

async def deaf():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def fails():
    raise Refused("do this")

async def main():
    await bounded(deaf(), 0.1)
    try:
        await bounded(fails(), 5)
    except Refused as told:
        print(told, flush=True)
        end_process(told)

asyncio.run(main())
""")
    assert (done.returncode, done.stdout) == (78, "do this\n")
