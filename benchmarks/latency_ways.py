"""The ways out that latency is measured through: who receives, what runs, how many messages a
second the receiver may be sent.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.aside import Answering, taken
from streams.admin.topics import STAGES
from tests.harness.services import ROUTING_KEY, pagerduty

SINK: Final = "sink"


class Through(StrEnum):
    """Ways out."""

    WEBHOOK = "webhook"
    PAGERDUTY = "pagerduty"


@dataclass(frozen=True, slots=True)
class Way:
    """One of them."""

    answering: Answering
    path: str
    """Where on the receiver messages are posted."""
    secret: str
    stages: tuple[str, ...]
    marked_per_s: float
    """Marked events a second, about."""
    seconds: float
    """For how long is measured where nothing else is said: long enough for a 99th percentile."""
    goal_p50_ms: int
    goal_p99_ms: int

    def sections(self, kind: Through, url: str, folder: Path) -> Mapping[str, Mapping[str, object]]:
        """The settings for a receiver at this address, and a store in this folder where the sink
        runs.
        """
        receiver = {
            "name": "benchmark",
            "kind": str(kind),
            "url": url.rstrip("/") + self.path,
            "secret": self.secret,
            "allow_private": True,
            "send_resolved": False,
            "pages_per_hour": None,
        }
        store = (
            {"store": {"kind": "embedded", "path": str(folder / "sentinel.db")}}
            if SINK in self.stages
            else {}
        )
        return {"alerting": {"receivers": [receiver]}, **store}


WAYS: Final[Mapping[Through, Way]] = MappingProxyType(
    {
        Through.WEBHOOK: Way(
            answering=taken,
            path="/",
            secret="whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
            stages=STAGES,
            marked_per_s=10.0,
            seconds=60.0,
            goal_p50_ms=150,
            goal_p99_ms=500,
        ),
        # PagerDuty takes 120 calls a minute for one key, and alert sends no more: above two a
        # second, messages would wait for their turn.
        Through.PAGERDUTY: Way(
            answering=pagerduty,
            path="/v2/enqueue",
            secret=ROUTING_KEY,
            stages=(*STAGES, SINK),
            marked_per_s=1.8,
            seconds=240.0,
            goal_p50_ms=200,
            goal_p99_ms=800,
        ),
    }
)
