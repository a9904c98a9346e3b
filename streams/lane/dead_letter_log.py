"""Dead letters in the log: a line for each new reason at once, then at most one per minute with the
count.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from streams.lane.outgoing import REASON, Outgoing

MIN_INTERVAL_S: Final = 60.0
"""Between two lines of one reason and field, monotonic seconds."""

MAX_REASONS: Final = 100
"""Pairs of reason and field that have lines of their own; the others share one. A reason may
contain a producer's words, so their number has no bound.
"""

_log = structlog.get_logger("sentinel.lanes")

Key = tuple[str, str]
"""Reason and field."""


@dataclass(slots=True)
class _Reason:
    logged_at: float
    count: int = 0
    """Dead letters since then."""
    example: str = ""
    """Topic, partition and offset of the last one."""


class DeadLetterLog:
    """Counts the dead letters of a stage by reason, and logs them at a limited rate."""

    def __init__(self, stage: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._monotonic = stage, monotonic
        self._reasons: dict[Key, _Reason] = {}

    def note(self, sent: Iterable[Outgoing]) -> None:
        """Count the dead letters among these records, and write the lines that are due."""
        now = self._monotonic()
        for outgoing in sent:
            headers = dict(outgoing.headers)
            if REASON not in headers:
                continue
            key = (_text(headers[REASON]), _text(headers.get("sentinel-field", b"")))
            if key not in self._reasons and len(self._reasons) >= MAX_REASONS:
                key = ("(others)", "")
            seen = self._reasons.setdefault(key, _Reason(now - MIN_INTERVAL_S))
            seen.count += 1
            origin, partition = (
                _text(headers["sentinel-topic"]),
                _text(headers["sentinel-partition"]),
            )
            seen.example = f"{origin}/{partition}@{_text(headers['sentinel-offset'])}"
        self.log_due()

    def log_due(self) -> None:
        """Write the lines that are due."""
        now = self._monotonic()
        for (reason, field), seen in self._reasons.items():
            if seen.count and now - seen.logged_at >= MIN_INTERVAL_S:
                where = {"field": field} if field else {}
                _log.warning(
                    "records.refused",
                    stage=self._stage,
                    reason=reason,
                    count=seen.count,
                    example=seen.example,
                    **where,
                )
                seen.logged_at, seen.count = now, 0


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
