"""A real Elasticsearch (one node, minimal distribution) on free ports of this machine, for tests
and benchmarks.

The server is fetched by `make servers` into `.servers/elasticsearch`. Whoever asks without
credentials may do everything; whoever shows wrong ones is refused, so that both can be tested on
one server.

    with ElasticServer() as server:
        server.url              # "http://127.0.0.1:40123"
"""

import os
import pwd
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.servers.process import SHORT_LIVED, CannotStart, Server, killed_with_parent
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


class CannotStartElasticsearch(CannotStart):
    """Elasticsearch did not come up; says what is missing or what its log said last."""


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


class ElasticServer(Server):
    """One Elasticsearch. `start` and `stop` may alternate on the same port and the same data;
    `close` removes both. Its process is the launcher; the server is that one's child.

    Args:
        overrides: settings of `elasticsearch.yml` that take precedence over `SMALL_NODE`.
        heap_mb: heap of the Java process, megabytes.
        is_measured: whether its speed matters: Java then optimizes what runs often.
    """

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        heap_mb: int = 320,
        *,
        is_measured: bool = False,
    ) -> None:
        super().__init__("elasticsearch", CannotStartElasticsearch)
        self._overrides = dict(overrides or {})
        self._heap_mb = heap_mb
        self._java_options = () if is_measured else SHORT_LIVED
        self._ports = (0, 0)

    @property
    def url(self) -> str:
        """Where it answers; the same over stops and starts."""
        return self.where

    def _missing(self) -> str | None:
        return missing()

    def _where(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    def _answers(self) -> bool:
        return answers(self.url)

    def _command(self, folder: Path) -> Sequence[str]:
        # The server goes when its launcher goes: it watches the pipe between them.
        return [*_as_other_user(), str(HOME / "bin" / "elasticsearch")]

    def _configure(self, folder: Path) -> None:
        self._ports = (free_port(), free_port())
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
        heap = (f"-Xms{self._heap_mb}m", f"-Xmx{self._heap_mb}m")
        return {
            **kept,
            "ES_JAVA_HOME": str(java_home()),
            "ES_PATH_CONF": str(folder / "config"),
            "ES_JAVA_OPTS": " ".join((*heap, *self._java_options)),
            "ES_TMPDIR": str(folder / "tmp"),
            "CLI_JAVA_OPTS": " ".join(("-Xmx64m", *SHORT_LIVED)),
            "HOME": str(folder),
        }


def _as_other_user() -> list[str]:
    """What goes before the command: it must not run as root, and it goes when the test run is
    killed.
    """
    guard = killed_with_parent()
    if not guard or os.geteuid() != 0:
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
