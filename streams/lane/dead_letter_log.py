"""Dead letters on the log: a line for each reason at once, then one a minute with how many there
were.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from streams.lane.outgoing import REASON, Outgoing

EVERY_S: Final = 60.0
"""Least time between two lines of one reason and field, wall clock."""

MOST_REASONS: Final = 100
"""Reasons, with their fields, that have lines of their own; the rest share one."""

_log = structlog.get_logger("sentinel.lanes")

Key = tuple[str, str]
"""Reason and field."""


@dataclass(slots=True)
class _Told:
    at: float
    count: int = 0
    """Since then."""
    example: str = ""


class RefusalLog:
    """What a stage refuses, counted by reason."""

    def __init__(self, stage: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._monotonic = stage, monotonic
        self._told: dict[Key, _Told] = {}

    def note(self, sent: Iterable[Outgoing]) -> None:
        """Counts the dead letters among these, and writes the lines that are due."""
        now = self._monotonic()
        for outgoing in sent:
            headers = dict(outgoing.headers)
            if REASON not in headers:
                continue
            key = (_text(headers[REASON]), _text(headers.get("sentinel-field", b"")))
            if key not in self._told and len(self._told) >= MOST_REASONS:
                key = ("(others)", "")
            told = self._told.setdefault(key, _Told(now - EVERY_S))
            told.count += 1
            origin, partition = (
                _text(headers["sentinel-topic"]),
                _text(headers["sentinel-partition"]),
            )
            told.example = f"{origin}/{partition}@{_text(headers['sentinel-offset'])}"
        self.tell_due()

    def tell_due(self) -> None:
        """Writes the lines that are due."""
        now = self._monotonic()
        for (reason, field), told in self._told.items():
            if told.count and now - told.at >= EVERY_S:
                where = {"field": field} if field else {}
                _log.warning(
                    "records.refused",
                    stage=self._stage,
                    reason=reason,
                    count=told.count,
                    example=told.example,
                    **where,
                )
                told.at, told.count = now, 0


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
