"""An exception that nobody foresaw ends a worker's process: a test raises in real workers, where
the app alone (`test_callbacks`) does not show it.
"""

import signal
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.admin.topics import create, specs
from streams.exit_status import BUG
from tests.faust.raising import WHERE
from tests.faust.test_callbacks import CALLBACKS
from tests.harness.telemetry_log import good
from tests.harness.worker import Installation, Worker

REAL = [where for where in WHERE if where not in CALLBACKS]
"""What only a running client, or the end of a process, can show."""


class Workers:
    """A worker for each place, with topics of its own and one event in them; started one ahead of
    the test that looks at it.
    """

    def __init__(self, kafka: str, folders: pytest.TempPathFactory, stack: ExitStack) -> None:
        token = uuid.uuid4().hex[:8]
        self._installations = {
            where: Installation(kafka, f"{where}{token}.", folders.mktemp(where), partitions=1)
            for where in REAL
        }
        wanted = [
            spec for each in self._installations.values() for spec in specs(each.names, each.lanes)
        ]
        create(self._installations["agent"].admin, wanted, timeout_s=300)
        for installation in self._installations.values():
            installation.send(installation.names.telemetry, 0, [good(0, 0).value])
        self._started: dict[str, Worker] = {}
        self._stack = stack

    def __getitem__(self, where: str) -> Worker:
        for place in REAL[REAL.index(where) :][:2]:
            if place not in self._started:
                command = (sys.executable, "-m", "tests.faust.raising", place)
                self._started[place] = self._stack.enter_context(
                    self._installations[place].worker("detect", *command)
                )
        return self._started[where]


@pytest.fixture(scope="module")
def workers(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """They end with the module."""
    with ExitStack() as stack:
        yield Workers(kafka, tmp_path_factory, stack)


@pytest.mark.parametrize("where", REAL)
def test_an_exception_ends_the_process_with_status_70(workers: Workers, where: str) -> None:
    """It is not gathered, swallowed or waited for; the traceback is there for who repairs it."""
    worker = workers[where]
    if where == "stop":
        worker.ready().signal(signal.SIGTERM)
    assert worker.ends() == BUG, worker.said()
    assert f"in {where}" in worker.said()
    assert "Traceback" in worker.said()


def test_a_worker_that_is_told_to_stop_ends_in_order_whatever_it_looks_at(
    kafka: str, tmp_path: Path
) -> None:
    """Its looks at the client end before the client does: its thread and loop are gone while the
    rest is let go.
    """
    installation = Installation(kafka, f"stop{uuid.uuid4().hex[:8]}.", tmp_path, partitions=1)
    create(installation.admin, list(specs(installation.names, installation.lanes)), timeout_s=300)
    with installation.worker("detect", sys.executable, "-m", "tests.faust.stopping") as worker:
        worker.ready().signal(signal.SIGTERM)
        assert worker.ends() == 0, worker.said()
