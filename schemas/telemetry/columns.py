"""Decode framed telemetry to columns: thousands of records at once, bad ones set apart."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias, cast

import numpy as np
import polars as pl

from schemas.avro import evolution, packaged
from schemas.avro.coding import read_body
from schemas.avro.framing import PREFIX_BYTES, prefix, schema_id_of
from schemas.avro.limits import MAX_RECORD_BYTES, check_value
from schemas.avro.schema import Enum, Json, Record, RefusedSchema, parse
from schemas.avro.walking import check_extent
from schemas.errors import BadRecord, Reason
from schemas.native.library import GOOD, NATIVE, TRAILING, UNDECODABLE, UNSURE
from schemas.telemetry import validity
from schemas.telemetry.avro_blocks import BlockReader, NotReadable, dtypes
from schemas.telemetry.events import Events, FrameEvents
from schemas.telemetry.native_reading import NativeReader

Positions: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

_BROKEN: Final = ((UNDECODABLE, Reason.UNDECODABLE), (TRAILING, Reason.TRAILING))
"""What the native code knows to be bad."""

_PIECES: Final = 8
"""Into how many pieces a block that holds a bad record is cut, again and again, until the bad one
is alone.
"""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of values holds."""

    events: Events
    """The asked columns of the good records, in the order of the values."""

    index: Positions
    """For each of the events, the position of its value, from 0; rising."""

    bad: list[tuple[int, BadRecord]]
    """The other positions, rising, each with what is wrong."""

    @property
    def frame(self) -> pl.DataFrame:
        """The columns as polars has them. Dtypes: Int64 for whole numbers, times (µs) and symbols
        (`status` and `operation`: the index in `Status` and `Operation`), Float64, String,
        List(Struct).
        """
        return self.events.frame


class Decoder:
    """Reads telemetry that was written with any of some schemas, as columns of the newest.

    `writers` maps the schema ids that the topic takes to their schemas. One that must not be
    decoded with, or cannot be read as the newest, is not an error here: it is in `refused`, and its
    records are bad.
    """

    def __init__(
        self, writers: Mapping[int, dict[str, Json]], max_record_bytes: int = MAX_RECORD_BYTES
    ) -> None:
        newest = packaged.newest("TelemetryEvent")
        self._reader = packaged.schema(newest)
        self._reader_json = packaged.for_fastavro(newest)
        self._dtypes = dtypes(self._reader)
        self._max_record_bytes = max_record_bytes
        self._names: dict[tuple[str, ...], list[str]] = {}
        self._blocks: dict[int, BlockReader] = {}
        self._by_prefix: dict[bytes, BlockReader] = {}
        self._writers: dict[int, dict[str, Json]] = {}
        self._schemas: dict[int, Record] = {}
        self.refused: dict[int, str] = {}
        """Schema ids that are refused, each with the reason."""
        for schema_id, schema in writers.items():
            self._take(schema_id, schema)
        self._fast = NativeReader(self._blocks, self._reader, max_record_bytes)

    def decode(self, values: Sequence[bytes | None], columns: Sequence[str]) -> Decoded:
        """The asked columns of the good values, and what is wrong with the others.

        A value is good when it is a record of an allowed schema from its first byte to its last,
        and when `schemas.telemetry.validity` finds nothing wrong with it. Which values are good,
        and their columns, does not depend on what other values stand beside them, nor on the
        columns asked for (but that bytes which are no UTF-8 are found only in texts that are asked
        for, or are ids). Raises KeyError for a column that there is not.

        Processes that decode are started with POLARS_MAX_THREADS=1.
        """
        fast = None if NATIVE is None else self._fast.read(NATIVE, values, tuple(columns))
        if fast is None:
            return self._slowly(list(values), columns)
        events, verdicts, good = fast
        if good == len(verdicts):
            return Decoded(events, np.arange(good, dtype=np.int64), [])
        index, unsure = np.flatnonzero(verdicts == GOOD), np.flatnonzero(verdicts == UNSURE)
        rest = self._slowly([values[place] for place in unsure.tolist()], columns)
        bad = [(int(unsure[place]), error) for place, error in rest.bad]
        for verdict, reason in _BROKEN:
            places = np.flatnonzero(verdicts == verdict).tolist()
            bad += [_at(place, values, BadRecord(reason)) for place in places]
        bad.sort(key=lambda entry: entry[0])
        told = Decoded(events[index], index, bad)
        if not len(rest.index):
            return told
        # Those that are good in a way that the native code does not know.
        return _merged(told, replace(rest, index=unsure[rest.index]))

    def _slowly(self, values: list[bytes | None], columns: Sequence[str]) -> Decoded:
        """The same by polars: what the native code leaves, or all where there is none."""
        names = self._names_for(tuple(columns))
        frame = self._whole(values, names)
        if frame is not None:
            index: Positions = np.arange(len(values), dtype=np.int64)
            bad: list[tuple[int, BadRecord]] = []
        else:
            frame, index, bad = self._in_pieces(values, names)
        nonsense = validity.check(frame)
        if nonsense:
            keep = np.ones(len(index), bool)
            keep[[row for row, _ in nonsense]] = False
            bad += [_at(int(index[row]), values, error) for row, error in nonsense]
            bad.sort(key=lambda entry: entry[0])
            frame, index = frame.filter(pl.Series(keep)), index[keep]
        return Decoded(FrameEvents(frame.select(columns)), index, bad)

    def _take(self, schema_id: int, schema: dict[str, Json]) -> None:
        try:
            writer = parse(schema)
        except RefusedSchema as refusal:
            self.refused[schema_id] = str(refusal)
            return
        faults = evolution.problems(writer, self._reader)
        if faults or not isinstance(writer, Record):
            self.refused[schema_id] = "; ".join(faults)
            return
        self._writers[schema_id] = packaged.fastavro_schema(schema)
        self._schemas[schema_id] = writer
        with suppress(NotReadable):
            self._by_prefix[prefix(schema_id)] = self._blocks[schema_id] = BlockReader(
                schema_id, writer, self._reader
            )

    def _names_for(self, columns: tuple[str, ...]) -> list[str]:
        """The columns to read: those asked for and those that tell good from bad, in the order of
        the schema.

        Lists are always read: a block of items may tell its size in bytes, which is believed only
        where it is skipped.
        """
        names = self._names.get(columns)
        if names is None:
            for column in columns:
                self._dtypes[column]
            wanted = validity.CHECKED.union(columns)
            names = [
                name
                for name, dtype in self._dtypes.items()
                if name in wanted or isinstance(dtype, pl.List)
            ]
            self._names[columns] = names
        return names

    def _whole(self, values: Sequence[bytes | None], names: list[str]) -> pl.DataFrame | None:
        """The columns of all values when all are decodable and of one schema: the ordinary case."""
        if not values:
            return self._empty(names)
        present = cast("Sequence[bytes]", values)
        try:
            sizes = np.fromiter(map(len, present), np.int64, len(present))
        except TypeError:  # a value that is not there has no length
            return None
        reader = self._by_prefix.get(present[0][:PREFIX_BYTES])
        if reader is None or sizes.max() > self._max_record_bytes:
            return None
        return reader.read(present, int(sizes.sum()), names)

    def _in_pieces(
        self, values: Sequence[bytes | None], names: list[str]
    ) -> tuple[pl.DataFrame, Positions, list[tuple[int, BadRecord]]]:
        """The columns of what is decodable, where not all is, or not with one schema."""
        gathered = _Gathered([self._empty(names)], [], [])
        for schema_id, places in self._sorted(values, gathered).items():
            places = self._whole_ones(schema_id, places, gathered)
            if not places:
                continue
            if schema_id in self._blocks:
                self._divide(schema_id, places, names, gathered)
            else:
                self._one_by_one(schema_id, places, names, gathered)
        frame = pl.concat(gathered.frames)
        index: Positions = np.array(gathered.places, dtype=np.int64)
        gathered.bad.sort(key=lambda entry: entry[0])
        # Only where schemas were mixed: reordering columns of lists is slow.
        if bool((index[1:] < index[:-1]).any()):
            order = np.argsort(index)
            frame, index = frame[order], index[order]
        return frame, index, gathered.bad

    def _sorted(
        self, values: Sequence[bytes | None], gathered: "_Gathered"
    ) -> "dict[int, list[_Place]]":
        """The values that may be decoded, by schema id."""
        by_id: dict[int, list[_Place]] = {}
        allowed = self._writers.keys() | self.refused.keys()
        for position, value in enumerate(values):
            try:
                schema_id = check_value(value, allowed, self._max_record_bytes)
                if schema_id in self.refused:
                    raise BadRecord(Reason.REFUSED_SCHEMA, None, schema_id)
            except BadRecord as error:
                gathered.bad.append((position, error))
            else:
                assert value is not None
                by_id.setdefault(schema_id, []).append((position, value))
        return by_id

    def _whole_ones(
        self, schema_id: int, places: "list[_Place]", gathered: "_Gathered"
    ) -> "list[_Place]":
        """Those that are as long as their schema says. Decoders are given no others: what these do
        with counts that lie takes minutes.
        """
        found = []
        for position, value in places:
            try:
                check_extent(self._schemas[schema_id], value, schema_id)
            except BadRecord as error:
                gathered.bad.append((position, error))
            else:
                found.append((position, value))
        return found

    def _divide(
        self, schema_id: int, places: "list[_Place]", names: list[str], gathered: "_Gathered"
    ) -> None:
        """Cuts a block that does not decode as a whole into pieces, until those that do not decode
        are single records.

        That keeps one bad record in thousands from costing more than a few more reads, and makes
        the reader of blocks alone the judge of a record: fastavro, which takes some records that
        are not quite right, only says why.
        """
        values = [value for _, value in places]
        frame = self._blocks[schema_id].read(values, sum(map(len, values)), names)
        if frame is not None:
            gathered.frames.append(frame)
            gathered.places.extend(position for position, _ in places)
        elif len(places) == 1:
            position, value = places[0]
            gathered.bad.append((position, self._why(schema_id, value)))
        else:
            step = -(-len(places) // _PIECES)
            for start in range(0, len(places), step):
                self._divide(schema_id, places[start : start + step], names, gathered)

    def _one_by_one(
        self, schema_id: int, places: "list[_Place]", names: list[str], gathered: "_Gathered"
    ) -> None:
        """Records of a schema that is not readable in blocks."""
        rows: list[dict[str, object]] = []
        for position, value in places:
            try:
                rows.append(
                    read_body(value, schema_id, self._writers[schema_id], self._reader_json)
                )
            except BadRecord as error:
                gathered.bad.append((position, error))
            else:
                gathered.places.append(position)
        gathered.frames.append(self._frame_of(rows, names))

    def _frame_of(self, rows: list[dict[str, object]], names: list[str]) -> pl.DataFrame:
        """Columns as a block's, of records as fastavro reads them."""
        symbols = {
            field.name: field.type.symbols
            for field in self._reader.fields
            if isinstance(field.type, Enum)
        }
        columns = []
        for name in names:
            cells = [row[name] for row in rows]
            if name in symbols:
                cells = [symbols[name].index(cell) for cell in cells if isinstance(cell, str)]
            columns.append(pl.Series(name, cells, self._dtypes[name]))
        return pl.DataFrame(columns)

    def _why(self, schema_id: int, value: bytes) -> BadRecord:
        try:
            read_body(value, schema_id, self._writers[schema_id], None)
        except BadRecord as error:
            return error
        return BadRecord(Reason.UNDECODABLE, None, schema_id)

    def _empty(self, names: list[str]) -> pl.DataFrame:
        return pl.DataFrame(schema={name: self._dtypes[name] for name in names})


_Place: TypeAlias = tuple[int, bytes]
"""A value and its position among the values."""


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What has been decoded so far: frames, the positions of their rows, and what is bad."""

    frames: list[pl.DataFrame]
    places: list[int]
    bad: list[tuple[int, BadRecord]]


def _merged(one: Decoded, other: Decoded) -> Decoded:
    """The good ones of both, each at its place among the same values."""
    index = np.concatenate([one.index, other.index])
    order = np.argsort(index)
    return Decoded(FrameEvents(pl.concat([one.frame, other.frame])[order]), index[order], one.bad)


def _at(position: int, values: Sequence[bytes | None], error: BadRecord) -> tuple[int, BadRecord]:
    value = values[position]
    assert value is not None
    return position, BadRecord(error.reason, error.field, schema_id_of(value), error.detail)


@cache
def packaged_decoder(max_record_bytes: int = MAX_RECORD_BYTES) -> Decoder:
    """The decoder of the packaged schemas: what a topic of telemetry takes where there is no
    registry.
    """
    ids = packaged.ids_of("TelemetryEvent")
    return Decoder(
        {schema_id: packaged.schema_json(schema_id) for schema_id in ids}, max_record_bytes
    )


def decode(
    values: Sequence[bytes | None], columns: Sequence[str], max_record_bytes: int = MAX_RECORD_BYTES
) -> Decoded:
    """`Decoder.decode` with the packaged schemas."""
    return packaged_decoder(max_record_bytes).decode(values, columns)
