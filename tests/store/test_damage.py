"""A store's file that is damaged, foreign, gone, not ours to write, or open to others."""

import asyncio
import contextlib
import os
import random
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.store.port import Search
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind, StoreRefused, StoreUnavailable
from tests.harness.store_documents import START, aggregate, anomaly, incident, notification, of
from tests.store.stores import IMPATIENT_S, started

PAGE = 4096
NOBODY = 65534

_FEW = [
    *(of(Kind.ANOMALY, anomaly(number)) for number in range(60)),
    *(of(Kind.INCIDENT, incident(number, 1)) for number in range(20)),
    *(of(Kind.AGGREGATE, aggregate(number)) for number in range(60)),
    *(of(Kind.NOTIFICATION, notification(number)) for number in range(20)),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store's file with a little of everything in it."""
    path = tmp_path_factory.mktemp("sound") / "store.db"

    async def fill() -> None:
        async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
            assert await store.write(_FEW) == []

    asyncio.run(fill())
    return path.read_bytes()


async def _all_that_is_asked(path: Path) -> None:
    async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
        for kind in Kind:
            await store.search(Search(kind, "acme", limit=500))
            await store.search(Search(kind, "acme", application="shop", limit=500))
        await store.get(Kind.ANOMALY, "acme", f"{7:032x}")
        await store.series("acme", "shop", "heron", "latency", 0, 2 * START)
        await store.tenants()
        await store.subjects("acme")
        await store.write([of(Kind.ANOMALY, anomaly(number)) for number in range(50, 90)])
        await store.tend()
        await store.purge(Kind.AGGREGATE, 2 * START)


async def _outcome(path: Path) -> str:
    (told,) = await asyncio.gather(
        asyncio.wait_for(_all_that_is_asked(path), 20), return_exceptions=True
    )
    if told is None:
        return "served"
    assert isinstance(told, StoreRefused), repr(told)
    assert str(path) in str(told)
    assert "\n" not in str(told)
    return "refused"


async def test_a_zeroed_page_wherever_it_is_is_told_with_the_file_and_what_to_do(
    sound: bytes, tmp_path: Path
) -> None:
    """Either nothing that was asked lay there, or it is refused in a line; never another error, and
    never an endless chain of causes.
    """
    outcomes = []
    for page in range(len(sound) // PAGE):
        path = tmp_path / f"{page}.db"
        path.write_bytes(sound[: page * PAGE] + bytes(PAGE) + sound[(page + 1) * PAGE :])
        outcomes.append(await _outcome(path))
    assert outcomes.count("refused") > len(outcomes) / 2


async def test_scattered_bytes_are_refused_or_served(sound: bytes, tmp_path: Path) -> None:
    """As a failing disk leaves them: anywhere, a few or many, and a file that is cut off."""
    chance = random.Random(5)
    for round_ in range(60):
        broken = bytearray(sound)
        for _ in range(chance.choice([1, 30, 2_000])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        if round_ % 10 == 0:
            del broken[chance.randrange(len(broken)) :]
        path = tmp_path / f"{round_}.db"
        path.write_bytes(broken)
        await _outcome(path)


async def test_a_damaged_log_is_refused_or_served(tmp_path: Path) -> None:
    """What a killed process left in the write-ahead log, and a disk then spoilt."""
    path = tmp_path / "store.db"
    store = EmbeddedStore(str(path), IMPATIENT_S)
    await store.start()
    await store.write(_FEW)
    left, log = path.read_bytes(), (tmp_path / "store.db-wal").read_bytes()
    await store.close()
    assert len(log) > 10 * PAGE
    chance = random.Random(6)
    for round_ in range(20):
        copy = tmp_path / f"{round_}.db"
        copy.write_bytes(left)
        broken = bytearray(log)
        begin = chance.randrange(len(broken))
        broken[begin : begin + PAGE] = bytes(len(broken[begin : begin + PAGE]))
        copy.with_name(f"{round_}.db-wal").write_bytes(broken)
        await _outcome(copy)


async def test_a_store_that_was_repaired_serves_again(sound: bytes, tmp_path: Path) -> None:
    """Without a new start: an API goes on as soon as there is a good file in its place."""
    path = tmp_path / "store.db"
    path.write_bytes(b"x" * len(sound))
    store = EmbeddedStore(str(path), IMPATIENT_S)
    try:
        for _ in range(2):
            with pytest.raises(StoreRefused):
                await store.tenants()
        path.write_bytes(sound)
        assert await store.tenants() == ["acme"]
    finally:
        await store.close()


async def test_a_file_that_is_deleted_while_it_is_open_takes_nothing_with_it_that_is_written_later(
    tmp_path: Path,
) -> None:
    """A write that went to the deleted file is done again in a new one, before it is
    acknowledged.
    """
    path = tmp_path / "store.db"
    async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
        await store.write(_FEW)
        for end in ("", "-wal", "-shm"):
            path.with_name(f"store.db{end}").unlink()
        assert await store.write(_FEW) == []
    async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
        assert len((await store.search(Search(Kind.ANOMALY, "acme", limit=500))).documents) == 60


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that others may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextlib.contextmanager
def _as_nobody(*owned: Path) -> Iterator[None]:
    """Root may write whatever the mode is: as somebody else."""
    if os.geteuid() != 0:
        yield
        return
    for each in owned:
        os.chown(each, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", ["file", "folder"])
async def test_a_file_that_may_not_be_written_is_for_a_person(
    sound: bytes, open_folder: Path, locked: str
) -> None:
    """The line names what may not be written, and nothing is waited for."""
    folder, path = open_folder, open_folder / "store.db"
    if locked == "file":
        path.write_bytes(sound)
        path.chmod(0o444)
    else:
        folder.chmod(0o555)
    try:
        with (
            _as_nobody(*([folder] if locked == "file" else [])),
            pytest.raises(StoreRefused) as told,
        ):
            await asyncio.wait_for(_all_that_is_asked(path), 20)
    finally:
        folder.chmod(0o755)
    assert "Permission denied" in str(told.value)
    assert "check store.path" in str(told.value)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o644])
async def test_only_its_owner_reads_a_store(tmp_path: Path, before: int | None) -> None:
    """The file and those beside it, whatever the umask; one that was open to others is closed to
    them.
    """
    path = tmp_path / "store.db"
    mask = os.umask(0o022)
    try:
        if before is not None:
            path.touch(before)
        async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
            await store.write(_FEW)
            modes = [_mode(path.with_name(f"store.db{end}")) for end in ("", "-wal", "-shm")]
    finally:
        os.umask(mask)
    assert modes == [0o600, 0o600, 0o600]


async def test_a_long_reader_does_not_leave_a_large_log_behind(tmp_path: Path) -> None:
    """While it reads, the log grows and says so; when it has ended, the log is emptied; no question
    of ours lasts longer than one may.
    """
    path = tmp_path / "store.db"
    large = [
        of(Kind.NOTIFICATION, notification(number, body="x" * 20_000)) for number in range(400)
    ]
    async with started(EmbeddedStore(str(path), IMPATIENT_S)) as store:
        await store.write(_FEW)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM anomaly").fetchone()
            for start in range(0, 400, 50):
                assert await store.write(large[start : start + 50]) == []
            assert await store.tend() > 8_000_000
            reader.execute("ROLLBACK")
        assert await store.tend() == 0
        assert (tmp_path / "store.db-wal").stat().st_size == 0
    async with started(EmbeddedStore(str(path), 30.0, timeout_s=0.0)) as hurried:
        await hurried.write(
            [of(Kind.NOTIFICATION, notification(number)) for number in range(400, 4_000)]
        )
        with pytest.raises(StoreUnavailable, match=r"within store\.timeout_s"):
            await asyncio.wait_for(
                hurried.search(Search(Kind.NOTIFICATION, "acme", equal={"reason": "none"})), 5
            )
        # What is written has no such limit.
        assert await hurried.write(_FEW) == []
