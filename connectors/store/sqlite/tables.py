"""The tables of the embedded store, one for each kind, and the statements on them.

Names of kinds and of fields go into statements as they are: they are the program's own. All values
are bound.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from connectors.store.adding import Part
from connectors.store.port import MAX_SUBJECTS, Search, Subject
from connectors.store.sqlite.faults import Damaged
from schemas.documents import NO_LANE, SPECS, Document, Kind

COLUMNS: Final = "key, id, tenant, time, revision, application, model, severity, body"
_DELETED_AT_ONCE: Final = 5_000


class transaction:
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


def create_table(connection: sqlite3.Connection, kind: Kind) -> None:
    """Make a kind's table and indices, where they are missing."""
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
    for name in SPECS[kind].indexed:
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {kind}_by_{name.removesuffix('_id')} ON {kind} (tenant,"
            f" json_extract(body, '$.{name}'))"
        )


def row_of(given: Document) -> tuple[object, ...]:
    """A document in the order of COLUMNS."""
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


def insert(connection: sqlite3.Connection, rows: Mapping[Kind, list[tuple[object, ...]]]) -> None:
    """Add rows in one transaction; of one key the row with the highest revision stays."""
    with transaction(connection):
        for kind, values in rows.items():
            connection.executemany(
                f"INSERT INTO {kind} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
                " (key) DO UPDATE SET time = excluded.time, revision = excluded.revision,"
                " application = excluded.application, model = excluded.model, severity ="
                " excluded.severity, body = excluded.body WHERE excluded.revision >"
                f" {kind}.revision",
                values,
            )


def select(search: Search, after: tuple[int, str] | None) -> tuple[str, list[object]]:
    """The statement of a page and its values: one row more than the page, to know whether it
    ends.
    """
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
        # `checked` has found the name in the schema.
        add(f"json_extract(body, '$.{name}') = ?", value)
    if after is not None:
        add("(time, key) < (?, ?)", *after)
    where = " AND ".join(conditions) or "TRUE"
    return (
        (
            f"SELECT {COLUMNS} FROM {search.kind} WHERE {where} ORDER BY time DESC, key DESC LIMIT"
            f" {search.limit + 1}"
        ),
        values,
    )


def tenants(connection: sqlite3.Connection) -> list[str]:
    """The first MAX_SUBJECTS tenants, by name."""
    found: set[str] = set()
    for kind in (kind for kind, spec in SPECS.items() if spec.names_tenants):
        # Not DISTINCT, which reads every row: from each tenant straight to the next.
        statement = f"SELECT tenant FROM {kind} WHERE tenant > ? ORDER BY tenant LIMIT 1"
        row = connection.execute(statement, ("",)).fetchone()
        while row is not None and len(found) < MAX_SUBJECTS:
            found.add(row[0])
            row = connection.execute(statement, row).fetchone()
    return sorted(found)


def subjects(connection: sqlite3.Connection, tenant: str) -> list[Subject]:
    """A tenant's first MAX_SUBJECTS subjects, by name."""
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


def part_of(row: Sequence[Any]) -> Part:
    """One lane's part of a bucket, from `window_start` and `part_fields`."""
    start, end, lane, *numbers = row
    # Buckets of before lanes were written down have none.
    return Part(start, end, NO_LANE if lane is None else lane, *numbers)


def delete(connection: sqlite3.Connection, kind: Kind, before: int) -> int:
    """Delete some rows of a time before this, µs; how many."""
    with transaction(connection):
        oldest = f"SELECT rowid FROM {kind} WHERE time < ? LIMIT {_DELETED_AT_ONCE}"
        return connection.execute(
            f"DELETE FROM {kind} WHERE rowid IN ({oldest})", (before,)
        ).rowcount


def document_of(kind: Kind, row: tuple[object, ...]) -> Document:
    """The document of a row. Raises Damaged for what `row_of` cannot have written."""
    match row:
        case (_, str(id), str(tenant), int(time_us), int(revision), *_, str(body)):
            try:
                return Document(kind, id, tenant, time_us, orjson.loads(body), revision)
            except ValueError as fault:
                raise Damaged(f"the text of {kind} {id} cannot be read") from fault
    raise Damaged(f"a row of {kind} is not as it was written")
