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
"""Verdicts of the native code that are final, each with the reason."""

_PIECES: Final = 8
"""Number of pieces into which a block with a bad record is cut, repeatedly, until the bad one is
alone.
"""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The content of a batch of values."""

    events: Events
    """The requested columns of the good records, in the order of the values."""

    index: Positions
    """For each event the position of its value, from 0, ascending; shape (n,)."""

    bad: list[tuple[int, BadRecord]]
    """The other positions, ascending, each with its error."""

    @property
    def frame(self) -> pl.DataFrame:
        """The columns as polars has them. Dtypes: Int64 for whole numbers, times (µs) and symbols
        (`status` and `operation`: the index in `Status` and `Operation`), Float64, String,
        List(Struct).
        """
        return self.events.frame


class Decoder:
    """Reads telemetry that was written with any of several schemas, as columns of the newest.

    `writers` maps the schema ids that the topic accepts to their schemas. One that is unsafe to
    decode, or cannot be read as the newest, is not an error here: it is in `refused`, and its
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
            self._add(schema_id, schema)
        self._fast = NativeReader(self._blocks, self._reader, max_record_bytes)

    def decode(self, values: Sequence[bytes | None], columns: Sequence[str]) -> Decoded:
        """The requested columns of the good values, and the errors of the others.

        A value is good if it is exactly one record of an allowed schema, and
        `schemas.telemetry.validity` finds nothing wrong with it. Neither the verdict nor the
        columns of a value depend on the other values, nor on the requested columns (except that
        invalid UTF-8 is found only in requested texts and in ids). Raises KeyError for an unknown
        column.

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
        known = Decoded(events[index], index, bad)
        if not len(rest.index):
            return known
        # Records of schemas, or with values, that only polars or fastavro can judge.
        return _merged(known, replace(rest, index=unsure[rest.index]))

    def _slowly(self, values: list[bytes | None], columns: Sequence[str]) -> Decoded:
        """The same by polars: for what the native code leaves, or for all values without it."""
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

    def _add(self, schema_id: int, schema: dict[str, Json]) -> None:
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
        """The columns to read: those requested and those that are checked, in the order of the
        schema.

        Lists are always read: polars skips a list by the size in bytes that it claims, and would
        believe a wrong one.
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
        except TypeError:  # a null value has no length
            return None
        reader = self._by_prefix.get(present[0][:PREFIX_BYTES])
        if reader is None or sizes.max() > self._max_record_bytes:
            return None
        return reader.read(present, int(sizes.sum()), names)

    def _in_pieces(
        self, values: Sequence[bytes | None], names: list[str]
    ) -> tuple[pl.DataFrame, Positions, list[tuple[int, BadRecord]]]:
        """The columns of all decodable values, if some are not, or there are several schemas."""
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
        """Those whose length fits their schema. Decoders get no others: a wrong count can keep them
        busy for minutes.
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
        """Cuts a block that does not decode as a whole into pieces, until the undecodable ones are
        single records.

        So one bad record in thousands costs only a few more reads, and only the block reader
        decides whether a record is good: fastavro, which accepts some malformed records, only gives
        the reason.
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
    """The results so far: frames, the positions of their rows, and the bad values."""

    frames: list[pl.DataFrame]
    places: list[int]
    bad: list[tuple[int, BadRecord]]


def _merged(one: Decoded, other: Decoded) -> Decoded:
    """The good values of both, in the order of their positions."""
    index = np.concatenate([one.index, other.index])
    order = np.argsort(index)
    return Decoded(FrameEvents(pl.concat([one.frame, other.frame])[order]), index[order], one.bad)


def _at(position: int, values: Sequence[bytes | None], error: BadRecord) -> tuple[int, BadRecord]:
    value = values[position]
    assert value is not None
    return position, BadRecord(error.reason, error.field, schema_id_of(value), error.detail)


@cache
def packaged_decoder(max_record_bytes: int = MAX_RECORD_BYTES) -> Decoder:
    """The decoder of the packaged schemas, which are those of a topic without a registry."""
    ids = packaged.ids_of("TelemetryEvent")
    return Decoder(
        {schema_id: packaged.schema_json(schema_id) for schema_id in ids}, max_record_bytes
    )


def decode(
    values: Sequence[bytes | None], columns: Sequence[str], max_record_bytes: int = MAX_RECORD_BYTES
) -> Decoded:
    """`Decoder.decode` with the packaged schemas."""
    return packaged_decoder(max_record_bytes).decode(values, columns)
