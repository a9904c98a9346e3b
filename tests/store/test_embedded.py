"""What only the embedded store can meet: its file."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.store.port import Search
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind, StoreRefused, StoreUnavailable
from tests.harness.store_documents import anomaly, notification, of
from tests.store.stores import IMPATIENT_S, started


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    """One that gives up soon."""
    store = EmbeddedStore(str(tmp_path / "store.db"), IMPATIENT_S)
    async with started(store):
        yield store


async def test_a_full_disk_is_waited_for_and_loses_nothing(store: EmbeddedStore) -> None:
    """What was acknowledged stays; of the call that found it full nothing is left; when there is
    room again, all is written.
    """
    await store.write([of(Kind.ANOMALY, anomaly(1))])
    await store._do(lambda connection: connection.execute("PRAGMA max_page_count = 40"))
    large = [of(Kind.NOTIFICATION, notification(number, body="x" * 20_000)) for number in range(50)]
    with pytest.raises(StoreUnavailable, match="full"):
        await store.write(large)
    assert (await store.search(Search(Kind.NOTIFICATION, "acme"))).documents == []
    assert len((await store.search(Search(Kind.ANOMALY, "acme"))).documents) == 1
    await store._do(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))
    assert await store.write(large) == []
    assert len((await store.search(Search(Kind.NOTIFICATION, "acme", limit=100))).documents) == 50


async def test_another_program_s_file_is_not_touched(tmp_path: Path) -> None:
    """A database that is none of ours, and a file that is no database: refused in a line, and left
    as they are.
    """
    foreign, text = tmp_path / "foreign.db", tmp_path / "text.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    text.write_text("not a database, but long enough to be looked at as if it were one" * 50)
    before = foreign.read_bytes(), text.read_bytes()
    for path in (foreign, text):
        with pytest.raises(StoreRefused, match=r"store\.path"):
            async with started(EmbeddedStore(str(path), IMPATIENT_S)):
                pass
    assert (foreign.read_bytes(), text.read_bytes()) == before


async def test_a_new_file_is_opened_by_many_at_once(tmp_path: Path) -> None:
    """As sink and API do when an installation starts for the first time: one makes it, nobody
    refuses it.
    """
    for number in range(20):
        stores = [EmbeddedStore(str(tmp_path / f"{number}.db"), 5.0) for _ in range(8)]
        await asyncio.gather(*[each.start() for each in stores])
        written = [of(Kind.ANOMALY, anomaly(writer)) for writer in range(len(stores))]
        await asyncio.gather(
            *[each.write([one]) for each, one in zip(stores, written, strict=True)]
        )
        found = [await each.search(Search(Kind.ANOMALY, "acme", limit=100)) for each in stores]
        assert [len(page.documents) for page in found] == [len(stores)] * len(stores)
        await asyncio.gather(*[each.close() for each in stores])


async def test_readers_are_not_held_up_by_a_writer(store: EmbeddedStore, tmp_path: Path) -> None:
    """The page reads in another process while the sink is in the middle of a transaction."""
    await store.write([of(Kind.ANOMALY, anomaly(1))])
    with contextlib.closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len((await store.search(Search(Kind.ANOMALY, "acme"))).documents) == 1
        other.execute("ROLLBACK")
