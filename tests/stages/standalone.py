"""`sentinel standalone` as a real process on the shared broker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.harness.worker import Installation, until


class Standalone:
    """A running one, and what it said."""

    def __init__(self, config: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.config = config
        self._log = log
        command = [sys.executable, "-m", "topology", "standalone", "--config", str(config)]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **environment}
            )

    @property
    def said(self) -> str:
        """All of it, without the line breaks that are a terminal's."""
        return " ".join(self._log.read_text().split())

    def wait(self, text: str, times: int = 1) -> None:
        """Until it said so."""
        until(lambda: self.said.count(text) >= times or self._process.poll() is not None, text)
        assert self._process.poll() is None, self.said

    def end(self) -> int:
        """Its exit status when it is told to end."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """However it is."""
        self._process.kill()
        self._process.wait()


@contextmanager
def standalone(
    installation: Installation,
    environment: Mapping[str, str] | None = None,
    **sections: Mapping[str, object],
) -> Iterator[Standalone]:
    """Started, with the three stages that always run at work."""
    running = Standalone(
        installation.config(**sections), installation.folder / "standalone.log", environment or {}
    )
    try:
        running.wait("worker.started", 3)
        yield running
    finally:
        running.kill()
