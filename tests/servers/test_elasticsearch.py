"""The real Elasticsearch that tests and benchmarks start for themselves."""

import base64
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.harness.servers import elasticsearch as server_module


def _get(url: str, authorization: str | None = None) -> dict[str, object]:
    headers = {"Authorization": authorization} if authorization else {}
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=300
    ) as answer:
        told: dict[str, object] = json.loads(answer.read())
    return told


def test_it_is_ready_and_lets_in_who_shows_no_credentials_but_nobody_with_wrong_ones(
    elastic_url: str,
) -> None:
    """Both are needed: most tests want no user, one wants to be refused."""
    assert _get(f"{elastic_url}/_cluster/health")["status"] in ("green", "yellow")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        _get(
            f"{elastic_url}/_cluster/health", f"Basic {base64.b64encode(b'nobody:wrong').decode()}"
        )


def test_what_is_missing_is_named_with_what_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A developer without the server, or without a Java for it, is told what to do."""
    monkeypatch.setattr(server_module, "HOME", tmp_path)
    assert "make servers" in str(server_module.missing()) or "Java" in str(server_module.missing())
    monkeypatch.setattr(server_module, "java_home", lambda: None)
    assert "Java 21" in str(server_module.missing())
