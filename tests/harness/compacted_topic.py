"""A compacted topic in memory: the latest value of each key, as a lane finds it when it is
restored.
"""

from collections.abc import Iterable, Mapping


class CompactedTopic:
    """What `changes` gave, by key; a tombstone removes its key. `written` counts the rows that
    came, tombstones too.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.written = 0

    def take(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Takes rows and tombstones in order."""
        for key, value in changes:
            self.written += 1
            if value is None:
                # A tombstone for what was never written would cost a record for nothing.
                assert key in self.rows, key
                del self.rows[key]
            else:
                self.rows[key] = value

    def pages(self, table: str) -> Mapping[int, bytes]:
        """The pages of one table by number."""
        found = {}
        for key, value in self.rows.items():
            name, _, page = key.decode().rpartition("/")
            if name == table:
                found[int(page)] = value
        return found
