"""Documents in one SQLite file: the store that needs nothing installed.

WAL lets others read while one writes. Every call runs in a thread of the store's own, so that a
slow disk holds up no event loop.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from connectors.store.adding import part_fields, points
from connectors.store.asking import check_metric, checked, cursor
from connectors.store.port import MAX_POINTS, VERSION, Page, Point, Search, Subject
from connectors.store.retrying import retried
from connectors.store.sqlite import tables
from connectors.store.sqlite.faults import Damaged, meaning
from connectors.store.sqlite.private_file import make_private, tighten
from schemas.documents import (
    Document,
    Kind,
    Refused,
    StoreRefused,
    StoreUnavailable,
    document_key,
    misfit,
)

T = TypeVar("T")


_BUSY_MS: Final = 1000
_STEPS: Final = 10_000
"""Instructions of SQLite's machine between two looks at the time, about a millisecond."""
_CLOSES_WITHIN_S: Final = 5.0
_CHECKPOINT_BYTES: Final = 16_777_216
"""What a write-ahead log is cut to when it begins again, and from which on it is asked to."""


class EmbeddedStore:
    """See `connectors.store.port.Store`."""

    def __init__(self, path: str, deadline_s: float = 60.0, timeout_s: float = 20.0) -> None:
        self._path, self._deadline_s, self._timeout_s = path, deadline_s, timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sentinel-store")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._ends_at = 0.0
        """When the call under way has taken too long, on the monotonic clock."""

    async def start(self) -> None:
        """Opens the file, and makes it if it is missing. Raises StoreRefused, StoreUnavailable;
        what is asked later opens it anew.
        """
        await self._do(lambda _: None)

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """One transaction: all are durable or none."""
        rows: dict[Kind, list[tuple[object, ...]]] = {}
        refused = []
        for index, given in enumerate(documents):
            if (reason := misfit(given)) is not None:
                refused.append(Refused(index, reason))
            else:
                rows.setdefault(given.kind, []).append(tables.row_of(given))
        if rows:
            await self._do(lambda connection: tables.insert(connection, rows))
        return refused

    async def search(self, search: Search) -> Page:
        """Newest first."""
        after = checked(search)
        statement, values = tables.select(search, after)
        found = await self._ask(
            lambda connection: [
                tables.document_of(search.kind, row)
                for row in connection.execute(statement, values).fetchall()
            ]
        )
        documents = found[: search.limit]
        more = len(found) > search.limit
        return Page(documents, cursor(documents[-1].time, documents[-1].key) if more else None)

    async def get(self, kind: Kind, tenant: str, id: str) -> Document | None:
        """By tenant and id."""
        statement = f"SELECT {tables.COLUMNS} FROM {kind} WHERE key = ? AND tenant = ?"
        values = (document_key(tenant, id), tenant)
        rows = await self._ask(
            lambda connection: [
                tables.document_of(kind, row)
                for row in connection.execute(statement, values).fetchmany(1)
            ]
        )
        return rows[0] if rows else None

    async def series(
        self, tenant: str, application: str, model: str, metric: str, since: int, until: int
    ) -> list[Point]:
        """From aggregates."""
        check_metric(metric)
        columns = ", ".join(f"json_extract(body, '$.{name}')" for name in part_fields(metric))
        statement = (
            f"SELECT time, {columns} FROM aggregate WHERE tenant = ? AND application = ? AND model"
            " = ? AND time >= ? AND time < ? ORDER BY time DESC"
        )
        values = (tenant, application, model, since, until)

        def newest(connection: sqlite3.Connection) -> list[Point]:
            made = points(
                metric, (tables.part_of(row) for row in connection.execute(statement, values))
            )
            return list(islice(made, MAX_POINTS))

        return (await self._ask(newest))[::-1]

    async def tenants(self) -> list[str]:
        """From the indices, a step for each tenant."""
        return await self._ask(tables.tenants)

    async def subjects(self, tenant: str) -> list[Subject]:
        """From the index, a step for each subject."""
        return await self._ask(lambda connection: tables.subjects(connection, tenant))

    async def purge(self, kind: Kind, before: int) -> int:
        """To the microsecond, some thousands at a time: what is to be written does not wait for all
        of it.
        """
        forgotten = 0
        while found := await self._do(lambda connection: tables.delete(connection, kind, before)):
            forgotten += found
        return forgotten

    async def tend(self) -> int:
        """Empties the write-ahead log into the file, as far as readers let it; bytes that it still
        has. While one reads, whoever it is, nothing that was written since it began can leave the
        log.
        """
        if self._connection is not None and self._log_bytes() > 0:
            await self._do(_checkpoint)
        return self._log_bytes()

    async def close(self) -> None:
        """Closes the file; a disk that does not answer is not waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
            await asyncio.wait({closing}, timeout=_CLOSES_WITHIN_S)
        self._thread.shutdown(wait=False)

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A question, which may not take long: what is written meanwhile stays in the log. Raises
        TooSlow too.
        """
        return await self._do(work, self._timeout_s)

    async def _do(self, work: Callable[[sqlite3.Connection], T], timeout_s: float = math.inf) -> T:
        def in_thread() -> T:
            self._ends_at = time.monotonic() + timeout_s
            try:
                if self._connection is None:
                    self._connection = self._open()
                done = work(self._connection)
            except (sqlite3.Error, UnicodeDecodeError, Damaged) as fault:
                translated = meaning(self._path, fault)
                if isinstance(translated, StoreRefused):
                    # Whatever is put in its place is opened by the next call.
                    self._let_go()
                if translated is fault:
                    raise
                raise translated from fault
            self._check_place()
            return done

        loop = asyncio.get_running_loop()
        return await retried(
            lambda: loop.run_in_executor(self._thread, in_thread), self._deadline_s
        )

    def _check_place(self) -> None:
        """What is written to a file that was deleted or replaced is gone with it. Raises
        StoreUnavailable.
        """
        try:
            there = Path(self._path).stat().st_ino
        except OSError:
            there = 0
        if there != self._inode:
            self._let_go()
            # Not before it is needed: it takes half a second to import.
            import structlog

            structlog.get_logger("sentinel.store").warning("store.file_is_gone", path=self._path)
            raise StoreUnavailable(
                f"the store {self._path} was moved, deleted or replaced while it was open"
            )

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _log_bytes(self) -> int:
        try:
            return Path(f"{self._path}-wal").stat().st_size
        except OSError:
            return 0

    def _open(self) -> sqlite3.Connection:
        make_private(self._path)
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            # Every acknowledged transaction outlives a loss of power: FULL, since WAL alone is
            # durable only against a killed process.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_BYTES}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                self._create(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.set_progress_handler(lambda: time.monotonic() > self._ends_at, _STEPS)
            tighten(self._path)
            self._inode = Path(self._path).stat().st_ino
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        # Whoever else opens the new file at this moment looks before or after.
        with tables.transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (existing,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if version == 0 and not existing:
                for kind in Kind:
                    tables.create_table(connection, kind)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise StoreRefused(
                    f"the store {self._path} holds version {version}, this program keeps version"
                    f" {VERSION}; give another store.path, or the program that wrote it"
                )


def _checkpoint(connection: sqlite3.Connection) -> None:
    # Without waiting for readers: writers would wait with it.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
