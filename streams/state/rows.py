"""A table of a lane's state whose values are Python objects, written row by row as they change."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class RowCodec(Generic[K, V]):
    """How entries of one table become rows, and back. Keys of rows begin with `prefix`."""

    prefix: bytes
    key_to_bytes: Callable[[K], bytes]
    """Without the prefix."""
    key_from_bytes: Callable[[bytes], K]
    to_bytes: Callable[[V], bytes]
    from_bytes: Callable[[bytes], V]
    """May raise NewerState."""

    def is_row(self, key: bytes) -> bool:
        """Whether the row under this key belongs to the table."""
        return key.startswith(self.prefix)


def by_row_key(
    prefix: bytes, to_bytes: Callable[[V], bytes], from_bytes: Callable[[bytes], V]
) -> RowCodec[bytes, V]:
    """Codec of a table whose keys are those of its rows, the prefix included."""
    return RowCodec(
        prefix,
        lambda key: key.removeprefix(prefix),
        lambda rest: prefix + rest,
        to_bytes,
        from_bytes,
    )


class Rows(MutableMapping[K, V]):
    """A dictionary that knows which of its entries changed, including values changed in place.

    Every value that was handed out may have been changed: the next flush encodes it and compares it
    with what was written last. So no caller has to report a change, and an unchanged row is not
    written. Values that are only read come from `view`, which costs the flush nothing.
    """

    def __init__(self, codec: RowCodec[K, V]) -> None:
        self._codec = codec
        self._values: dict[K, V] = {}
        self._handed_out: set[K] = set()
        """Keys whose rows may differ from what was written."""
        self._followers: list[set[K]] = []
        self._written: dict[K, bytes] = {}
        """Digest of each row as it was written last."""

    def __getitem__(self, key: K) -> V:
        value = self._values[key]
        self._mark(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._values[key] = value
        self._mark(key)

    def __delitem__(self, key: K) -> None:
        del self._values[key]
        self._mark(key)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def view(self) -> Mapping[K, V]:
        """Return the entries for reading: a change of a value that came from here is lost."""
        return MappingProxyType(self._values)

    def follow(self) -> set[K]:
        """Return a set that gains the key of every entry that may have changed, restored ones too.

        It is for an index over the values, which empties the set when it has caught up, and must
        read through `view`: an entry handed out while it catches up would be in the set again.
        """
        follower = set[K]()
        self._followers.append(follower)
        return follower

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows that `changes` returned, without tombstones and rows of other tables.

        Raises:
            NewerState: a newer program wrote a row.
        """
        for row_key, value in rows:
            if self._codec.is_row(row_key):
                key = self._codec.key_from_bytes(row_key.removeprefix(self._codec.prefix))
                self._values[key] = self._codec.from_bytes(value)
                self._written[key] = _digest(value)
                for follower in self._followers:
                    follower.add(key)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Return the rows that changed since the last call, by key; None where the row is gone.

        The caller makes them durable, or ends: they are not returned again.
        """
        codec, changed = self._codec, list[tuple[bytes, bytes | None]]()
        for key in self._handed_out:
            row_key = codec.prefix + codec.key_to_bytes(key)
            if key not in self._values:
                # A row that came and went between two flushes was never written.
                if self._written.pop(key, None) is not None:
                    changed.append((row_key, None))
                continue
            value = codec.to_bytes(self._values[key])
            digest = _digest(value)
            if self._written.get(key) != digest:
                self._written[key] = digest
                changed.append((row_key, value))
        self._handed_out.clear()
        # A set has no order; what is written has the same one in each run.
        return sorted(changed, key=lambda row: row[0])

    def _mark(self, key: K) -> None:
        self._handed_out.add(key)
        for follower in self._followers:
            follower.add(key)


class SingleRow:
    """A row made from an object that changes in place: written when its bytes differ from those
    that were written last.
    """

    def __init__(self, key: bytes, to_bytes: Callable[[], bytes]) -> None:
        self._key, self._to_bytes = key, to_bytes
        self._written: bytes | None = None

    def is_row(self, key: bytes) -> bool:
        """Whether this is the row's key."""
        return key == self._key

    def settle(self) -> None:
        """Count the object as written: it is as it was restored, or as it begins."""
        self._written = self._to_bytes()

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Return the row if it changed since the last call or `settle`."""
        value = self._to_bytes()
        if value == self._written:
            return []
        self._written = value
        return [(self._key, value)]


def _digest(value: bytes) -> bytes:
    """Long enough that no two values of a row ever have the same by chance."""
    return blake2b(value, digest_size=_DIGEST_BYTES).digest()
