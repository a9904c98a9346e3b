"""Documents as Elasticsearch has them, and back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from urllib.parse import quote

import orjson

from connectors.store.elasticsearch.templates import (
    ID,
    KEY,
    OWN,
    PAGE_PATH,
    REVISION,
    TIME,
    TIMESTAMP,
    index_of,
    times_of,
)
from schemas.documents import SPECS, Document, Kind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


def bulk_lines(prefix: str, given: Document) -> bytes:
    """Two lines of a bulk request: `create`, or for what has revisions `index` with the revision as
    external version.
    """
    spec = SPECS[given.kind]
    key = given.key
    place: dict[str, object] = {"_index": index_of(prefix, given.kind, given.time), "_id": key}
    versioned = {**place, "version": given.revision, "version_type": "external"}
    action = {"create": place} if spec.revision is None else {"index": versioned}
    body = dict(given.body)
    for name in _times(given.kind):
        time = body.get(name)
        if isinstance(time, int):
            body[name] = iso(time)
    body[ID], body[KEY], body[TIME], body[REVISION] = given.id, key, given.time, given.revision
    body[TIMESTAMP] = iso(given.time)
    if spec.has_page:
        body[PAGE_PATH] = f"{quote(given.tenant, safe='')}/{quote(given.id, safe='')}"
    return b"%s\n%s\n" % (orjson.dumps(action), orjson.dumps(body))


def document_of(kind: Kind, source: Mapping[str, object]) -> Document:
    """The document that was stored as this `_source`."""
    body = {name: value for name, value in source.items() if name not in OWN}
    for name in _times(kind):
        time = body.get(name)
        if isinstance(time, str):
            body[name] = micros(time)
    id, tenant, time, revision = source[ID], source["tenant"], source[TIME], source[REVISION]
    assert isinstance(id, str)
    assert isinstance(tenant, str)
    assert isinstance(time, int)
    assert isinstance(revision, int)
    return Document(kind, id, tenant, time, body, revision)


def iso(time: int) -> str:
    """A time in µs as Elasticsearch takes it; what no calendar has is left for the server to
    refuse.

    >>> iso(1_000_001), micros(iso(1_000_001))
    ('1970-01-01T00:00:01.000001+00:00', 1000001)
    """
    try:
        return (_EPOCH + timedelta(microseconds=time)).isoformat()
    except OverflowError:
        return f"{time} µs"


def micros(text: str) -> int:
    """The time in µs that `iso` wrote."""
    return (datetime.fromisoformat(text) - _EPOCH) // _US


@cache
def _times(kind: Kind) -> frozenset[str]:
    return times_of(kind)
