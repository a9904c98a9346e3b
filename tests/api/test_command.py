"""`sentinel api` as a process."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from tests.harness.store_documents import anomaly, of

SERVING = re.compile(r"sentinel: serving (http://127\.0\.0\.1:\d+)/")


def started(folder: Path, **sections: object) -> subprocess.Popen[str]:
    """With these settings."""
    config = folder / "sentinel.yaml"
    config.write_text(yaml.safe_dump(sections))
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    command = [sys.executable, "-m", "topology", "api", "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ours)


async def _filled(path: str) -> None:
    store = EmbeddedStore(path)
    await store.start()
    await store.write([of(Kind.ANOMALY, anomaly(1))])
    await store.close()


def test_what_the_store_has_is_served_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It says where; SIGTERM ends it with status 0."""
    path = str(tmp_path / "s.db")
    asyncio.run(_filled(path))
    with started(tmp_path, store={"kind": "embedded", "path": path}, api={"port": 0}) as process:
        try:
            assert process.stderr is not None
            found = SERVING.search(process.stderr.readline())
            assert found is not None
            with urllib.request.urlopen(
                f"{found[1]}/api/v1/anomalies?tenant=acme", timeout=300
            ) as answer:
                assert [one["offset"] for one in json.load(answer)["items"]] == [1]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({}, "sentinel: there is no store to read: set store.kind to embedded or elasticsearch\n"),
        ({"api": {"host": "0.0.0.0"}}, "can be reached from other machines; give token_file"),
    ],
)
def test_what_keeps_it_from_serving_is_one_line(
    tmp_path: Path, sections: dict[str, object], line: str
) -> None:
    """No store; an open address without a token."""
    with started(tmp_path, **sections) as process:
        _, said = process.communicate(timeout=300)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert line in said


def test_a_damaged_store_is_a_problem_and_no_end(tmp_path: Path) -> None:
    """It serves, says 503 to what is asked of the store, and serves again when a good file is in
    its place.
    """
    path = tmp_path / "s.db"
    asyncio.run(_filled(str(path)))
    whole = path.read_bytes()
    path.write_bytes(bytes(8192) + whole[8192:])
    with started(
        tmp_path, store={"kind": "embedded", "path": str(path)}, api={"port": 0}
    ) as process:
        try:
            assert process.stderr is not None
            found = None
            while found is None:
                line = process.stderr.readline()
                assert line, "it ended"
                found = SERVING.search(line)
            asked = f"{found[1]}/api/v1/anomalies?tenant=acme"
            for _ in range(2):
                with pytest.raises(urllib.error.HTTPError) as told:
                    urllib.request.urlopen(asked, timeout=300)
                with told.value as answer:
                    assert (answer.code, answer.headers.get_content_type()) == (
                        503,
                        "application/problem+json",
                    )
            assert process.poll() is None
            path.write_bytes(whole)
            with urllib.request.urlopen(asked, timeout=300) as answer:
                assert len(json.load(answer)["items"]) == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
