"""A real Elasticsearch (one node, minimal distribution) on free ports of this machine, for tests
and benchmarks.

The server is fetched by `make servers` into `.servers/elasticsearch`. Whoever asks without
credentials may do everything; whoever shows wrong ones is refused, so that both can be tested on
one server.

    with ElasticServer() as server:
        server.url              # "http://127.0.0.1:40123"
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from topology.supervision.ports import free_port

VERSION = "9.5.3"
HOME = Path(__file__).parents[3] / ".servers" / "elasticsearch" / f"elasticsearch-{VERSION}"

SMALL_NODE: Mapping[str, str] = {
    "cluster.name": "sentinel-tests",
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    "xpack.security.enabled": "true",
    "xpack.security.http.ssl.enabled": "false",
    "xpack.security.transport.ssl.enabled": "false",
    "xpack.security.authc.anonymous.username": "anybody",
    "xpack.security.authc.anonymous.roles": "superuser",
    # A test machine's disk may be nearly full; that is not what is tested.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "action.destructive_requires_name": "false",
}


class CannotStartElasticsearch(Exception):
    """The server did not come up; says what is missing or what its log said last."""


def java_home() -> Path | None:
    """The newest Java of 21 or later on this machine; None when there is none."""
    homes = [
        Path(os.environ[name]) for name in ("ES_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)
    ]
    if java := shutil.which("java"):
        homes.append(Path(java).resolve().parents[1])
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    found = {home: _java_version(home) for home in homes if (home / "bin" / "java").is_file()}
    best = max(found, key=lambda home: found[home], default=None)
    return best if best is not None and found[best] >= 21 else None


def missing() -> str | None:
    """What this machine lacks to run the server, in words with the command that helps; None when
    nothing is missing.
    """
    if java_home() is None:
        return (
            "Elasticsearch needs Java 21 or newer: set ES_JAVA_HOME, or install one below"
            " /usr/lib/jvm"
        )
    if not (HOME / "bin" / "elasticsearch").is_file():
        return f"Elasticsearch is not in {HOME}: run `make servers`"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return (
            "Elasticsearch does not run as root, and there is no `setpriv` to run it as another"
            " user"
        )
    return None


class ElasticServer:
    """One Elasticsearch. `start` and `stop` may alternate on the same port and the same data;
    `close` removes both.

    Args:
        overrides: settings of `elasticsearch.yml` that take precedence over `SMALL_NODE`.
        heap_mb: heap of the Java process, megabytes.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None, heap_mb: int = 320) -> None:
        self._overrides = dict(overrides or {})
        self._heap_mb = heap_mb
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = (0, 0)

    @property
    def url(self) -> str:
        """Where it answers; the same over stops and starts."""
        if self._folder is None:
            raise CannotStartElasticsearch("not started")
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """Process id of the launcher; the server is its child."""
        return self._running().pid

    def start(self, timeout_s: float = 120.0) -> str:
        """Start, wait until it answers, and return the URL. Raises CannotStartElasticsearch with
        the log's end.
        """
        self.launch()
        try:
            self._wait_until_ready(timeout_s)
        except CannotStartElasticsearch:
            self.close()
            raise
        return self.url

    def launch(self) -> None:
        """Start, and return at once. Raises CannotStartElasticsearch."""
        if why := missing():
            raise CannotStartElasticsearch(why)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sentinel-elasticsearch-"))
            self._ports = (free_port(), free_port())
            self._configure(self._folder)
        with (self._folder / "server.log").open("ab") as log:
            # The server goes when its launcher goes: it watches the pipe between them.
            self._process = subprocess.Popen(
                [*_as_other_user(), str(HOME / "bin" / "elasticsearch")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(self._folder),
                cwd=self._folder,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Shut down in order; the data stay for the next `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as a machine that loses power; the data stay for the next `start`."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.killpg(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.killpg(self._running().pid, signal.SIGCONT)

    def close(self) -> None:
        """End at once and remove the data. Closing twice is fine."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise CannotStartElasticsearch("not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # In order, it is the launcher that is told; at once, it is the whole group.
            process.send_signal(how) if how is signal.SIGTERM else os.killpg(process.pid, how)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        _wait_until_gone(process.pid)

    def _configure(self, folder: Path) -> None:
        shutil.copytree(HOME / "config", folder / "config")
        for name in ("data", "logs", "tmp"):
            (folder / name).mkdir()
        http, transport = self._ports
        settings = {
            **SMALL_NODE,
            "http.port": str(http),
            "transport.port": str(transport),
            "path.data": str(folder / "data"),
            "path.logs": str(folder / "logs"),
            **self._overrides,
        }
        lines = "".join(f"{key}: {value}\n" for key, value in settings.items())
        (folder / "config" / "elasticsearch.yml").write_text(lines)
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ES_", "JAVA_"))
        }
        return {
            **kept,
            "ES_JAVA_HOME": str(java_home()),
            "ES_PATH_CONF": str(folder / "config"),
            "ES_JAVA_OPTS": f"-Xms{self._heap_mb}m -Xmx{self._heap_mb}m",
            "ES_TMPDIR": str(folder / "tmp"),
            "CLI_JAVA_OPTS": "-Xmx64m",
            "HOME": str(folder),
        }

    def _wait_until_ready(self, timeout_s: float) -> None:
        assert self._folder is not None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._running().poll() is None:
            if answers(self.url):
                return
            time.sleep(0.1)
        log = (self._folder / "server.log").read_text(errors="replace")
        lines = [line for line in log.splitlines() if line.strip() and not line.startswith("\tat ")]
        said = " | ".join(lines[-5:]) or "it said nothing"
        raise CannotStartElasticsearch(f"no answer from {self.url} within {timeout_s:g} s: {said}")


def _as_other_user() -> list[str]:
    """What goes before the command: it must not run as root, and it goes when the test run is
    killed.
    """
    if shutil.which("setpriv") is None:
        return []
    guard = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() != 0:
        return guard
    user = pwd.getpwnam("nobody")
    return [*guard, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def answers(url: str) -> bool:
    """Whether the server serves requests."""
    try:
        with urllib.request.urlopen(
            f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=3
        ) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _java_version(home: Path) -> int:
    try:
        found = re.search(r'JAVA_VERSION="(\d+)', (home / "release").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _wait_until_gone(group: int) -> None:
    """Until no process of the group is left, so that its files and ports are free."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
