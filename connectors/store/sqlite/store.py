"""Documents in one SQLite file: the store that needs nothing installed.

WAL lets others read while one writes. Every call runs in a thread of the store's own, so that a
slow disk holds up no event loop.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from connectors.store.adding import Part, part_fields, points
from connectors.store.asking import check_metric, checked, cursor
from connectors.store.port import MAX_POINTS, MAX_SUBJECTS, VERSION, Page, Point, Search, Subject
from connectors.store.retrying import retried
from connectors.store.sqlite.faults import Damaged, meaning
from connectors.store.sqlite.private_file import make_private, tighten
from schemas.documents import (
    NO_LANE,
    Document,
    Kind,
    Refused,
    StoreRefused,
    StoreUnavailable,
    document_key,
    misfit,
)

T = TypeVar("T")


_COLUMNS: Final = "key, id, tenant, time, revision, application, model, severity, body"
_BUSY_MS: Final = 1000
_STEPS: Final = 10_000
"""Instructions of SQLite's machine between two looks at the time, about a millisecond."""
_CLOSES_WITHIN_S: Final = 5.0
_FORGOTTEN_AT_ONCE: Final = 5_000
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
                rows.setdefault(given.kind, []).append(_row(given))
        if rows:
            await self._do(lambda connection: _insert(connection, rows))
        return refused

    async def search(self, search: Search) -> Page:
        """Newest first."""
        after = checked(search)
        statement, values = _select(search, after)
        found = await self._ask(
            lambda connection: [
                _document(search.kind, row)
                for row in connection.execute(statement, values).fetchall()
            ]
        )
        documents = found[: search.limit]
        more = len(found) > search.limit
        return Page(documents, cursor(documents[-1].time, documents[-1].key) if more else None)

    async def get(self, kind: Kind, tenant: str, id: str) -> Document | None:
        """By tenant and id."""
        statement = f"SELECT {_COLUMNS} FROM {kind} WHERE key = ? AND tenant = ?"
        values = (document_key(tenant, id), tenant)
        rows = await self._ask(
            lambda connection: [
                _document(kind, row) for row in connection.execute(statement, values).fetchmany(1)
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
            made = points(metric, (_part(row) for row in connection.execute(statement, values)))
            return list(islice(made, MAX_POINTS))

        return (await self._ask(newest))[::-1]

    async def tenants(self) -> list[str]:
        """From the indices, a step for each tenant."""
        return await self._ask(_tenants)

    async def subjects(self, tenant: str) -> list[Subject]:
        """From the index, a step for each subject."""
        return await self._ask(lambda connection: _subjects(connection, tenant))

    async def purge(self, kind: Kind, before: int) -> int:
        """To the microsecond, some thousands at a time: what is to be written does not wait for all
        of it.
        """
        forgotten = 0
        while found := await self._do(lambda connection: _delete(connection, kind, before)):
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
                told = meaning(self._path, fault)
                if isinstance(told, StoreRefused):
                    # Whatever is put in its place is opened by the next call.
                    self._let_go()
                if told is fault:
                    raise
                raise told from fault
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
        with _transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if version == 0 and not tables:
                for kind in Kind:
                    _create(connection, kind)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise StoreRefused(
                    f"the store {self._path} holds version {version}, this program keeps version"
                    f" {VERSION}; give another store.path, or the program that wrote it"
                )


class _transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK where something was raised."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
                return
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _checkpoint(connection: sqlite3.Connection) -> None:
    # Without waiting for readers: writers would wait with it.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")


def _create(connection: sqlite3.Connection, kind: Kind) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {kind} (key TEXT PRIMARY KEY, id TEXT, tenant TEXT, time"
        " INTEGER, revision INTEGER, application TEXT, model TEXT, severity TEXT, body TEXT)"
    )
    connection.execute(
        f"CREATE INDEX IF NOT EXISTS {kind}_by_time ON {kind} (tenant, time DESC, key DESC)"
    )
    connection.execute(
        f"CREATE INDEX IF NOT EXISTS {kind}_by_subject ON {kind} (tenant, application, model, time)"
    )
    connection.execute(f"CREATE INDEX IF NOT EXISTS {kind}_by_age ON {kind} (time)")
    if kind is Kind.NOTIFICATION:
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {kind}_by_incident ON {kind} (tenant, json_extract(body,"
            " '$.incident_id'))"
        )


def _row(given: Document) -> tuple[object, ...]:
    body = given.body
    return (
        given.key,
        given.id,
        given.tenant,
        given.time,
        given.revision,
        body.get("application"),
        body.get("model"),
        body.get("severity"),
        orjson.dumps(body).decode(),
    )


def _insert(connection: sqlite3.Connection, rows: Mapping[Kind, list[tuple[object, ...]]]) -> None:
    with _transaction(connection):
        for kind, values in rows.items():
            connection.executemany(
                f"INSERT INTO {kind} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
                " (key) DO UPDATE SET time = excluded.time, revision = excluded.revision,"
                " application = excluded.application, model = excluded.model, severity ="
                " excluded.severity, body = excluded.body WHERE excluded.revision >"
                f" {kind}.revision",
                values,
            )


def _select(search: Search, after: tuple[int, str] | None) -> tuple[str, list[object]]:
    conditions, values = list[str](), list[object]()

    def add(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if search.tenant is not None:
        add("tenant = ?", search.tenant)
    if search.since is not None:
        add("time >= ?", search.since)
    if search.until is not None:
        add("time < ?", search.until)
    if search.application is not None:
        add("application = ?", search.application)
    if search.severities:
        add(f"severity IN ({', '.join('?' * len(search.severities))})", *sorted(search.severities))
    for name, value in search.equal.items():
        # The name is one of the schema's own.
        add(f"json_extract(body, '$.{name}') = ?", value)
    if after is not None:
        add("(time, key) < (?, ?)", *after)
    where = " AND ".join(conditions) or "TRUE"
    return (
        (
            f"SELECT {_COLUMNS} FROM {search.kind} WHERE {where} ORDER BY time DESC, key DESC LIMIT"
            f" {search.limit + 1}"
        ),
        values,
    )


def _tenants(connection: sqlite3.Connection) -> list[str]:
    found: set[str] = set()
    for kind in (Kind.ANOMALY, Kind.INCIDENT, Kind.AGGREGATE):
        # Not DISTINCT, which reads every row: from each tenant straight to the next.
        statement = f"SELECT tenant FROM {kind} WHERE tenant > ? ORDER BY tenant LIMIT 1"
        row = connection.execute(statement, ("",)).fetchone()
        while row is not None and len(found) < MAX_SUBJECTS:
            found.add(row[0])
            row = connection.execute(statement, row).fetchone()
    return sorted(found)


def _subjects(connection: sqlite3.Connection, tenant: str) -> list[Subject]:
    following = (
        "SELECT application, model FROM aggregate WHERE tenant = ? AND (application, model) > (?,"
        " ?) ORDER BY application, model LIMIT 1"
    )
    newest = "SELECT max(time) FROM aggregate WHERE tenant = ? AND application = ? AND model = ?"
    found: list[Subject] = []
    row = connection.execute(following, (tenant, "", "")).fetchone()
    while row is not None and len(found) < MAX_SUBJECTS:
        found.append(Subject(*row, *connection.execute(newest, (tenant, *row)).fetchone()))
        row = connection.execute(following, (tenant, *row)).fetchone()
    return found


def _part(row: Sequence[Any]) -> Part:
    start, end, lane, *numbers = row
    # Buckets of before lanes were written down have none.
    return Part(start, end, NO_LANE if lane is None else lane, *numbers)


def _delete(connection: sqlite3.Connection, kind: Kind, before: int) -> int:
    with _transaction(connection):
        oldest = f"SELECT rowid FROM {kind} WHERE time < ? LIMIT {_FORGOTTEN_AT_ONCE}"
        return connection.execute(
            f"DELETE FROM {kind} WHERE rowid IN ({oldest})", (before,)
        ).rowcount


def _document(kind: Kind, row: tuple[object, ...]) -> Document:
    """Raises Damaged."""
    match row:
        case (_, str(id), str(tenant), int(time_us), int(revision), *_, str(body)):
            try:
                return Document(kind, id, tenant, time_us, orjson.loads(body), revision)
            except ValueError as fault:
                raise Damaged(f"the text of {kind} {id} cannot be read") from fault
    raise Damaged(f"a row of {kind} is not as it was written")
