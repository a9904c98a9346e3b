"""Framed records to columns by the kernel: each judged by itself, of whichever schema it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.avro import Json, Record
from schemas.blocks import BlockReader
from schemas.events import NONE, KernelEvents
from schemas.kernel.library import Bools, Int64s, Kernel, address_of
from schemas.kernel.programs import NotCompiled, Slots, compiled
from schemas.packed import NOTHING, Packed
from schemas.validity import CHECKED, RANGES

_BETWEEN: Final = {name: (least, most) for name, least, most in RANGES}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the kernel is given for some columns."""

    slots: Slots
    schemas: tuple[Int64s, Int64s, Int64s]
    """Ids, where each one's program starts and the last one ends, and the programs."""
    numbers: Mapping[str, int]
    texts: Mapping[str, bytes | None]
    """Columns that some schema does not have, with what stands there then."""


class KernelReader:
    """Reads framed records of some schemas as columns of the newest, by schema id."""

    def __init__(self, schemas: Mapping[int, BlockReader], reader: Record, max_record_bytes: int) -> None:
        self._schemas, self._most = schemas, max_record_bytes
        self._types = {field.name: field.type for field in reader.fields}
        self._plans: dict[tuple[str, ...], _Plan | None] = {}

    def read(self, kernel: Kernel, values: Packed, columns: tuple[str, ...]) -> tuple[KernelEvents, Bools] | None:
        """The columns of all values, and which of these are good; where one is not, its row means nothing, and whether the value is, the slow way
        knows. None when not all of these columns are the kernel's. Raises KeyError for a column that there is not."""
        if columns not in self._plans:
            self._plans[columns] = self._planned(columns)
        plan = self._plans[columns]
        if plan is None:
            return None
        count, slots = len(values), plan.slots
        numbers = np.empty((len(slots.numbers), count), np.int64)
        texts, sizes = np.empty((2, len(slots.texts), count), np.int64)
        for name, number in plan.numbers.items():
            numbers[slots.numbers[name]] = number
        for name, text in plan.texts.items():
            texts[slots.texts[name]] = 0 if text is None else address_of(text)
            sizes[slots.texts[name]] = NOTHING if text is None else len(text)
        good = kernel.decode((values.addresses, values.sizes), self._most, plan.schemas, numbers, texts, sizes)
        return KernelEvents(slots, numbers, texts, sizes, (*values.holders, plan.texts)), good

    def _planned(self, columns: tuple[str, ...]) -> _Plan | None:
        try:
            slots = Slots.of({name: self._types[name] for name in columns})
        except NotCompiled:
            return None
        ids, starts, words = list[int](), [0], list[int]()
        numbers, texts = dict[str, int](), dict[str, bytes | None]()
        for schema_id, schema in self._schemas.items():
            try:
                program = compiled(schema.writer, slots)
                _check(schema.defaults)
            except NotCompiled:
                continue
            ids.append(schema_id)
            words += program
            starts.append(len(words))
            numbers |= {name: _number(value) for name, value in schema.defaults.items() if name in slots.numbers}
            texts |= {name: _text(value) for name, value in schema.defaults.items() if name in slots.texts}
        arrays = (np.array(ids, np.int64), np.array(starts, np.int64), np.array(words, np.int64))
        return _Plan(slots, arrays, numbers, texts)


def _check(defaults: Mapping[str, Json]) -> None:
    """Raises NotCompiled where a column that a record lacks would have to be judged."""
    for name, value in defaults.items():
        if name in _BETWEEN and value is not None:
            least, most = _BETWEEN[name]
            good = isinstance(value, int) and least <= value <= most
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
