"""A detect lane's state as its topic has it, by what it says: tables of names and of what was
learnt page by page, windows by bucket and subject.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from agents.detection.population import SERIES_WINDOW, USER_WINDOW
from streams.state.chunks import split_key, unseal
from streams.state.subjects import Subjects
from streams.state.windows import WindowSpec
from tests.harness.reference.slow_lane import SlowLane
from tests.harness.reference.sums import Subject
from tests.harness.reference.tally import Tally, tallied

_META: Final = b"meta"
_META_NUMBERS: Final = struct.Struct("<qqqqqq")
_STAMPS_BYTES: Final = 8
_NUMBER: Final = struct.Struct("<q")
_CLOCK: Final = (
    "bucket width",
    "lateness",
    "time",
    "append time",
    "first open bucket",
    "newest bucket",
    "settings number",
    "settings version",
)
_WINDOWS: Final = {spec.table: spec for spec in (SERIES_WINDOW, USER_WINDOW)}

Rows = Mapping[bytes, bytes]
WindowRow = tuple[str, int, int]
"""Table, bucket, and row number of the subject."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """Rows apart from windows as they are, and windows by bucket and subject: where in its pages a
    bucket's rows stand depends on the batches.
    """

    plain: dict[bytes, bytes]
    windows: dict[WindowRow, bytes]

    @staticmethod
    def of(rows: Rows) -> "LaneState":
        """Reads a lane's rows, without the position."""
        state = LaneState({}, {})
        for key, value in rows.items():
            table = key.decode() if key == _META else split_key(key)[0]
            spec = _WINDOWS.get(table)
            if spec is None:
                state.plain[key] = value
            else:
                state.windows.update(_window_rows(spec, value))
        return state


def compared(actual: Rows, expected: Rows) -> Tally:
    """Two states of one lane, to the byte."""
    here, there = LaneState.of(actual), LaneState.of(expected)
    tally = tallied("detect-state", there.plain, here.plain.items(), once=True)
    windows = tallied("detect-state", there.windows, here.windows.items(), once=True)
    tally.add(windows)
    return tally


def compared_slowly(actual: Rows, slow: SlowLane) -> Tally:
    """Open buckets, time and settings version of a lane's state against the slow lane's, number by
    number.
    """
    state = LaneState.of(actual)
    names = _names(actual)
    expected: dict[tuple[int, Subject], tuple[list[int], dict[int, int], dict[int, int]]] = {
        (bucket, subject): (sums.numbers(), dict(sums.latencies), dict(sums.first_token_times))
        for bucket, subjects in slow.open.items()
        for subject, sums in subjects.items()
    }
    dtype = SERIES_WINDOW.table_spec().dtype
    found = []
    for (table, bucket, row), value in state.windows.items():
        if table == SERIES_WINDOW.table:
            content = np.frombuffer(value, dtype)[0]
            bins = [_nonzero(content[name]) for name in SERIES_WINDOW.sketches]
            found.append(((bucket, names[row]), (content["numbers"].tolist(), bins[0], bins[1])))
    tally = tallied("open buckets and clock", expected, found, once=True)
    tally.add(_clock(state, slow))
    return tally


def _clock(state: LaneState, slow: SlowLane) -> Tally:
    if slow.open_from is None:
        return Tally("clock")
    _, body = unseal(state.plain[_META], 6, "meta")
    numbers = _META_NUMBERS.unpack_from(body) + _NUMBER.unpack_from(
        body, _META_NUMBERS.size + _STAMPS_BYTES
    )
    end = _META_NUMBERS.size + _STAMPS_BYTES + _NUMBER.size
    version = bytes(body[end + 1 : end + 1 + body[end]]).decode()
    said = dict(zip(_CLOCK, (*numbers, version), strict=True))
    right = (
        slow.times.bucket,
        slow.times.lateness,
        slow.time,
        slow.appended,
        slow.open_from,
        slow.newest,
        slow.number,
        slow.version,
    )
    return tallied("clock", dict(zip(_CLOCK, right, strict=True)), said.items(), once=True)


def _window_rows(spec: WindowSpec, value: bytes) -> dict[WindowRow, bytes]:
    table = spec.table_spec()
    _, body = unseal(value, table.version, table.name)
    rows = np.frombuffer(body, table.dtype)
    used = rows[rows["bucket"] > 0]
    return {
        (spec.table, int(row["bucket"]) - 1, int(row["subject"])): row.tobytes() for row in used
    }


def _names(rows: Rows) -> dict[int, Subject]:
    subjects = Subjects("series-names", ("tenant", "application", "model"), 1 << 40, 1)
    pages = {
        split_key(key)[1]: value for key, value in rows.items() if key.startswith(b"series-names/")
    }
    subjects.restore(pages)
    return {
        row: (name[0], name[1], name[2])
        for row, name in enumerate(subjects.names)
        if name is not None
    }


def _nonzero(bins: "np.ndarray[tuple[int], np.dtype[np.uint32]]") -> dict[int, int]:
    return {int(place): int(bins[place]) for place in np.flatnonzero(bins)}
