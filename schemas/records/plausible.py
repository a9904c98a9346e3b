"""Plausibility of Sentinel's own records: any client that may write to a topic can write them too.

What a schema cannot express is checked here, once, before a stage computes with it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from schemas.avro.coding import Record
from schemas.bounds import LATEST, MAX_ID_BYTES
from schemas.errors import BadRecord, Reason
from schemas.records.anomalies import Anomaly, SignalChange
from schemas.records.incidents import Incident

MAX_BYTES: Final = 1_048_576
"""Largest of these records, framed, bytes: a hundred times one with all its lists full."""

MAX_NAME_BYTES: Final = 4 * MAX_ID_BYTES
"""Longest id or name, bytes: a name that was not UTF-8 is written with up to four bytes for each of
its own.
"""

MAX_TEXT_BYTES: Final = 16_384
"""Longest other text, bytes: reasons, titles, names of rules and metrics."""

MAX_LANE: Final = 2**31 - 1
_MAX_LONG: Final = 2**63 - 1

_R = TypeVar("_R", bound=Record)

_PLACE: Final = ("lane", "offset", "ordinal")
_TIMES: Final[Mapping[type[Record], tuple[str, ...]]] = MappingProxyType(
    {
        Anomaly: ("event_time", "window_start", "window_end"),
        SignalChange: ("event_time", "since"),
        Incident: (
            "opened_at",
            "updated_at",
            "resolved_at",
            "no_data_since",
            "new_level_since",
            "evidence_since",
        ),
    }
)
_COUNTS: Final[Mapping[type[Record], tuple[str, ...]]] = MappingProxyType(
    {Anomaly: _PLACE, SignalChange: _PLACE, Incident: (*_PLACE, "revision", "anomaly_count")}
)
_NEEDED: Final[Mapping[type[Record], tuple[str, ...]]] = MappingProxyType(
    {Anomaly: ("id", "tenant"), SignalChange: ("tenant",), Incident: ("id", "tenant")}
)
_NAMES: Final[Mapping[type[Record], tuple[str, ...]]] = MappingProxyType(
    {
        Anomaly: ("id", "tenant", "application", "model", "user"),
        SignalChange: ("tenant", "application", "model", "user"),
        Incident: ("id", "tenant", "application", "evidence_model", "evidence_user"),
    }
)
_TEXTS: Final[Mapping[type[Record], tuple[str, ...]]] = MappingProxyType(
    {
        Anomaly: ("rule", "metric", "detector", "settings_version", "reason"),
        SignalChange: ("rule", "metric", "detector", "settings_version", "reason"),
        Incident: ("title", "settings_version", "note", "evidence_metric", "evidence_rule"),
    }
)


def plausible(kind: type[_R], value: bytes) -> _R:
    """The record, of one of the kinds listed above.

    Raises BadRecord, with the field if there is one: the record is too large or does not decode, a
    time is before 1970 or after 2099, an offset or a count is negative, a text is too long, or its
    tenant or id is empty.
    """
    if len(value) > MAX_BYTES:
        raise BadRecord(Reason.TOO_LARGE)
    record = kind.from_bytes(value)
    for name in _TIMES[kind]:
        check_number(name, getattr(record, name), 0, LATEST)
    for name in _COUNTS[kind]:
        check_number(name, getattr(record, name), 0, _MAX_LONG)
    for name in _NEEDED[kind]:
        if not getattr(record, name):
            raise BadRecord(Reason.BLANK, name)
    for name in _NAMES[kind]:
        check_text(name, getattr(record, name), MAX_NAME_BYTES)
    for name in _TEXTS[kind]:
        check_text(name, getattr(record, name), MAX_TEXT_BYTES)
    return record


def check_number(name: str, number: int | None, minimum: int, maximum: int) -> None:
    """Raises BadRecord for a number out of these inclusive bounds; None is within any."""
    if number is not None and not minimum <= number <= maximum:
        raise BadRecord(Reason.OUT_OF_RANGE, name)


def check_text(name: str, text: str | None, max_bytes: int) -> None:
    """Raises BadRecord for a text of more bytes of UTF-8; None is never too long."""
    # A character has at most four bytes, so most texts need not be encoded to be measured.
    if text and len(text) > max_bytes // 4 and len(text.encode()) > max_bytes:
        raise BadRecord(Reason.TOO_LONG, name)
