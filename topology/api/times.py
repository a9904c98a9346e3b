"""Times in answers: RFC 3339 for people and tools, or µs for programs that compute with them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeGuard

NAMES: Final = frozenset(
    {
        "acknowledged_at",
        "asked_at",
        "at",
        "ends_at",
        "event_time",
        "evidence_since",
        "held_since",
        "last_event",
        "moved_at",
        "new_level_since",
        "newest",
        "no_data_since",
        "opened_at",
        "resolved_at",
        "starts_at",
        "updated_at",
        "window_end",
        "window_start",
    }
)
"""Fields of answers that are times; inside they are µs since 1970-01-01 UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 60_000_000_000_000_000
"""µs; about the years 69 to 3871."""


class Times(StrEnum):
    """How an answer writes times."""

    RFC3339 = "rfc3339"
    """UTC with microseconds where there are any: 2026-05-28T20:26:40Z."""
    US = "us"
    """Microseconds since 1970-01-01 UTC, a number."""


def rfc3339(us: int) -> str:
    """The time as RFC 3339 in UTC.

    >>> rfc3339(1_780_000_000_000_000), rfc3339(1_780_000_000_250_000)
    ('2026-05-28T20:26:40Z', '2026-05-28T20:26:40.250000Z')
    """
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _is_time(value: object) -> TypeGuard[int]:
    # What no calendar has stays a number: records on the topics may say anything.
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LAST


def written(answer: object, times: Times) -> Any:
    """The answer with its times as wanted. What was text or None stays as it is.

    >>> written({"items": [{"at": 0, "lane": 7}], "next": None}, Times.RFC3339)
    {'items': [{'at': '1970-01-01T00:00:00Z', 'lane': 7}], 'next': None}
    """
    if times is Times.US:
        return answer
    if is_dataclass(answer) and not isinstance(answer, type):
        return written({field.name: getattr(answer, field.name) for field in fields(answer)}, times)
    if isinstance(answer, Mapping):
        return {
            name: rfc3339(value) if name in NAMES and _is_time(value) else written(value, times)
            for name, value in answer.items()
        }
    if isinstance(answer, (list, tuple)):
        return [written(one, times) for one in answer]
    return answer
