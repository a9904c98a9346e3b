"""The open signals of an incident: what is still wrong, each until detect says what became of it.
Bounded.
"""

import struct
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Self

from schemas.records.anomalies import Anomaly, SignalChange, SignalStatus

NEVER: Final = -(2**63)
"""No time, µs."""

_RATE: Final = "request_rate"
"""The metric whose anomaly may be that there is no data."""

_HEAD: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<8sqqi")
_OLD_ENTRY: Final = struct.Struct("<8sqq")
"""Without the lane: in rows of earlier releases."""
_KEY_BYTES: Final = 8


def signal_key(record: Anomaly | SignalChange) -> bytes:
    """Names the signal of an anomaly or a change: detector, rule, subject, metric, and the lane
    that sees it.
    """
    parts = (
        record.tenant,
        record.application,
        record.model,
        record.user,
        record.rule,
        record.metric,
        record.detector,
        record.lane,
    )
    return blake2b(repr(parts).encode(), digest_size=_KEY_BYTES).digest()


@dataclass(slots=True)
class _Open:
    """What is known of one open signal; event times, µs."""

    lane: int
    """Lane of `telemetry` that sees it."""
    no_data_since: int = NEVER
    level_since: int = NEVER


@dataclass(slots=True)
class Signals:
    """Open signals, the first `limit` of them by name; those beyond are counted, by the anomalies
    that begin and the changes that end them.
    """

    limit: int
    unlisted: int = 0
    """Open ones that are not listed."""
    _listed: dict[bytes, _Open] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._listed) or self.unlisted > 0

    @property
    def are_listed(self) -> bool:
        """Whether any open one is known by name."""
        return bool(self._listed)

    def __contains__(self, key: bytes) -> bool:
        return key in self._listed

    def anomaly(self, anomaly: Anomaly) -> bool:
        """Note an anomaly: its signal is open, and neither without data nor at a level that detect
        has accepted; true when that is news of one that was either. An anomaly that says that there
        are no calls leaves a signal without data so.
        """
        key, first = signal_key(anomaly), anomaly.first
        known = self._listed.get(key)
        if known is not None and anomaly.metric == _RATE and anomaly.observed == 0:
            return False
        if known is not None:
            was_marked = (known.no_data_since, known.level_since) != (NEVER, NEVER)
            known.no_data_since = known.level_since = NEVER
            # A row of an earlier release may have had another.
            known.lane = anomaly.lane
            return was_marked
        if not first and self.unlisted:
            # It is one of those that are only counted.
            return False
        if len(self._listed) < self.limit:
            self._listed[key] = _Open(anomaly.lane)
        else:
            self.unlisted += 1
        return False

    def changed(self, key: bytes, change: SignalChange) -> bool:
        """Apply what became of a signal; false when it is not one of these."""
        known = self._listed.get(key)
        if known is None:
            # A name that is not listed may be one of those that are only counted.
            if change.status.is_end and self.unlisted:
                self.unlisted -= 1
                return True
            return False
        if change.status.is_end:
            del self._listed[key]
        elif change.status is SignalStatus.NO_DATA:
            known.no_data_since = change.event_time if change.since is None else change.since
        else:
            known.level_since, known.no_data_since = change.event_time, NEVER
        return True

    @property
    def lanes(self) -> list[int]:
        """Lanes that see listed signals with data, ascending."""
        return sorted(
            {known.lane for known in self._listed.values() if known.no_data_since == NEVER}
        )

    def lose_data(self, lane: int, since: int) -> None:
        """Note that no data comes of any signal of this lane; those without keep their time."""
        for known in self._listed.values():
            if known.lane == lane and known.no_data_since == NEVER:
                known.no_data_since = since

    @property
    def no_data_since(self) -> int | None:
        """Event time since which no listed signal has data, µs; None while one has."""
        return _latest([known.no_data_since for known in self._listed.values()])

    @property
    def level_since(self) -> int | None:
        """Event time since which all open signals are at levels that detect has accepted as new,
        µs; None while one is not, or may not be.
        """
        return (
            None
            if self.unlisted
            else _latest([known.level_since for known in self._listed.values()])
        )

    def merge(self, other: "Signals") -> None:
        """Add another's open signals."""
        self.unlisted += other.unlisted
        for key, known in other._listed.items():
            if key in self._listed or len(self._listed) < self.limit:
                self._listed[key] = known
            else:
                self.unlisted += 1

    def row(self) -> bytes:
        """The signals as part of a row, in the order in which they were opened."""
        entries = [
            _ENTRY.pack(key, one.no_data_since, one.level_since, one.lane)
            for key, one in self._listed.items()
        ]
        return _HEAD.pack(len(entries), self.unlisted) + b"".join(entries)

    @classmethod
    def from_row(
        cls, body: memoryview, limit: int, old_lane: int | None = None
    ) -> tuple[Self, int]:
        """Read what `row` returned, and how many bytes that took. `old_lane` is the lane of all
        signals in a row of an earlier release, which has none.
        """
        count, unlisted = _HEAD.unpack_from(body)
        entry = _ENTRY if old_lane is None else _OLD_ENTRY
        size = _HEAD.size + count * entry.size
        listed = {
            key: _Open(lane[0] if lane else old_lane or 0, no_data, level)
            for key, no_data, level, *lane in entry.iter_unpack(body[_HEAD.size : size])
        }
        return cls(limit, unlisted, listed), size


def _latest(times: list[int]) -> int | None:
    return None if not times or NEVER in times else max(times)
