"""Both stores, each with what a test may do to it from outside."""

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from elasticsearch import Elasticsearch

from connectors.store.elasticsearch.store import ElasticStore
from connectors.store.elasticsearch.templates import template, template_name
from connectors.store.port import Store
from connectors.store.settings import StoreKind, StoreSettings
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.secrets import Secret
from topology.supervision.ports import free_port

IMPATIENT_S = 0.6
"""Deadline of a store that is expected to give up."""


class Place(Protocol):
    """Where a store keeps its documents."""

    def store(self, deadline_s: float = 60.0) -> Store:
        """A store on it, not started."""
        ...

    def refused(self) -> Store:
        """A store that may not come in."""
        ...

    def visible(self) -> None:
        """Returns when what was written is found."""
        ...

    def of_another_version(self) -> None:
        """Makes it what a newer program left."""
        ...

    def down(self) -> AbstractAsyncContextManager[None]:
        """Answers nothing meanwhile."""
        ...

    def read_only(self) -> AbstractAsyncContextManager[None]:
        """Takes nothing meanwhile, and answers what is asked."""
        ...

    async def close(self) -> None:
        """Forgets everything."""
        ...


class SqlitePlace:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"

    def store(self, deadline_s: float = 60.0) -> Store:
        return EmbeddedStore(str(self.path), deadline_s)

    def refused(self) -> Store:
        # A folder stands where the file should be: not even root can open that.
        folder = self.path.parent / "folder"
        folder.mkdir(exist_ok=True)
        return EmbeddedStore(str(folder), IMPATIENT_S)

    def visible(self) -> None:
        return

    def of_another_version(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 9")

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        # Another process holds the file, as a backup that hangs.
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    read_only = down

    async def close(self) -> None:
        return


class ElasticPlace:
    """A prefix of indices on a real server, reached through a wire that can be cut."""

    def __init__(self, url: str, wire: "Wire") -> None:
        self._wire = wire
        self.settings = StoreSettings(
            StoreKind.ELASTICSEARCH,
            urls=(wire.url,),
            index_prefix=f"t{uuid.uuid4().hex[:8]}-",
            replicas=0,
        )
        self.client = Elasticsearch(url, request_timeout=60)

    @classmethod
    async def open(cls, url: str) -> "ElasticPlace":
        """With its wire."""
        parts = urlsplit(url)
        wire = Wire(parts.hostname or "", parts.port or 9200)
        await wire.join()
        return cls(url, wire)

    def store(self, deadline_s: float = 60.0) -> Store:
        return ElasticStore(replace(self.settings, deadline_s=deadline_s))

    def refused(self) -> Store:
        return ElasticStore(
            replace(
                self.settings, username="nobody", password=Secret("wrong"), deadline_s=IMPATIENT_S
            )
        )

    def visible(self) -> None:
        self.client.indices.refresh(index=f"{self.settings.index_prefix}*")

    def of_another_version(self) -> None:
        made: dict[str, Any] = template(self.settings.index_prefix, Kind.INCIDENT, 0)
        made["_meta"]["version"] = 9
        self.client.indices.put_index_template(
            name=template_name(self.settings.index_prefix, Kind.INCIDENT), body=made
        )

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        await self._wire.cut()
        yield
        await self._wire.join()

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        self._block(value=True)
        yield
        self._block(value=False)

    async def close(self) -> None:
        await self._wire.cut()
        self.client.indices.delete(index=f"{self.settings.index_prefix}*", ignore_unavailable=True)
        for kind in Kind:
            self.client.options(ignore_status=404).indices.delete_index_template(
                name=template_name(self.settings.index_prefix, kind)
            )
        self.client.close()

    def _block(self, *, value: bool) -> None:
        self.client.indices.put_settings(
            index=f"{self.settings.index_prefix}*", settings={"index.blocks.read_only": value}
        )


class Wire:
    """TCP to a server, on a port that stays, which can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._listens = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Of this end."""
        return f"http://127.0.0.1:{self._listens}"

    async def join(self) -> None:
        """Connections are taken."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._listens)

    async def cut(self) -> None:
        """All connections end, and none is taken."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._open |= {writer, far_writer}
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            self._open -= {writer, far_writer}
        finally:
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def started(store: Store) -> AsyncIterator[Store]:
    """A store, started."""
    try:
        await store.start()
        yield store
    finally:
        await store.close()
