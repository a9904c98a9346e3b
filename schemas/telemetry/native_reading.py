"""Framed records to columns by native code, which judges each record on its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.avro.schema import Json, Record
from schemas.native.library import Native, Schemas, Verdicts, address_of
from schemas.native.packed import NOTHING, packed
from schemas.telemetry.avro_blocks import BlockReader
from schemas.telemetry.events import NONE, NativeEvents
from schemas.telemetry.programs import BOUNDS, NotCompiled, Slots, compiled
from schemas.telemetry.validity import CHECKED


@dataclass(frozen=True, slots=True)
class _Plan:
    """Arguments of the native code for one set of columns."""

    slots: Slots
    schemas: Schemas
    defaults: tuple[bytes, ...]
    """Defaults of texts that a schema does not have; kept, since columns point into them."""


class NativeReader:
    """Reads framed records of some schemas as columns of the newest, by schema id."""

    def __init__(
        self, schemas: Mapping[int, BlockReader], reader: Record, max_record_bytes: int
    ) -> None:
        self._schemas, self._max_record_bytes = schemas, max_record_bytes
        self._types = {field.name: field.type for field in reader.fields}
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    def read(
        self, native: Native, values: Sequence[bytes | None], columns: tuple[str, ...]
    ) -> tuple[NativeEvents, Verdicts, int] | None:
        """The columns of all values, the verdict on each (shape (n,)), and the number of good ones;
        the rows of others are undefined. None if the native code does not support all of these
        columns. Raises KeyError for an unknown column.
        """
        if columns not in self._plans:
            self._plans[columns] = self._planned(columns)
        plan = self._plans[columns]
        if plan is None:
            return None
        slots, given = plan.slots, packed(values)
        columns_read, verdicts, good = native.decode(
            given.addresses,
            given.sizes,
            self._max_record_bytes,
            plan.schemas,
            len(slots.numbers),
            len(slots.texts),
        )
        return NativeEvents(slots, columns_read, (*given.holders, *plan.defaults)), verdicts, good

    def _planned(self, columns: tuple[str, ...]) -> _Plan | None:
        try:
            slots = Slots.of({name: self._types[name] for name in columns})
        except NotCompiled:
            return None
        ids, starts, words = list[int](), [0], list[int]()
        defaults: dict[str, Json] = {}
        for schema_id, schema in self._schemas.items():
            try:
                program = compiled(schema.writer, slots)
                _check(schema.defaults)
            except NotCompiled:
                continue
            ids.append(schema_id)
            words += program
            starts.append(len(words))
            defaults |= schema.defaults
        texts = {name: _text(value) for name, value in defaults.items() if name in slots.texts}
        numbers = [
            (place, _number(defaults[name]))
            for name, place in slots.numbers.items()
            if name in defaults
        ]
        fill = (*numbers, *_fill(texts, slots))
        schemas = Schemas(
            np.array(ids, np.int64), np.array(starts, np.int64), np.array(words, np.int64), fill
        )
        return _Plan(slots, schemas, tuple(text for text in texts.values() if text is not None))


def _fill(texts: Mapping[str, bytes | None], slots: Slots) -> Iterator[tuple[int, int]]:
    """Address and size of these texts, each with the row of the column that it fills."""
    for name, text in texts.items():
        place = len(slots.numbers) + slots.texts[name]
        yield place, 0 if text is None else address_of(text)
        yield place + len(slots.texts), NOTHING if text is None else len(text)


def _check(defaults: Mapping[str, Json]) -> None:
    """Raises NotCompiled for a default that `validity` would have to judge: the native code checks
    only what a record holds.
    """
    for name, value in defaults.items():
        if name in BOUNDS and value is not None:
            minimum, maximum = BOUNDS[name]
            good = isinstance(value, int) and minimum <= value <= maximum
        else:
            good = value in (None, []) or name not in CHECKED
        if not good:
            raise NotCompiled(f"the default of {name}")


def _number(value: Json) -> int:
    if value is None:
        return NONE
    assert isinstance(value, int)
    return value


def _text(value: Json) -> bytes | None:
    if value is None:
        return None
    assert isinstance(value, str)
    return value.encode()
