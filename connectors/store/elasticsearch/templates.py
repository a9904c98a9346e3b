"""Elasticsearch's index templates, made from the Avro schemas: the one place that says which Avro
type is which field type.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.store.port import VERSION
from schemas.avro.schema import Array, Enum, Json, Primitive, Record, Type, Union
from schemas.documents import SPECS, DocumentSpec, Kind, Rotation, schema_of

ID: Final = "document_id"
"""Field beside the schema's own: the document's id, as people see it."""
KEY: Final = "document_key"
"""Its key, by which documents of one time are sorted."""
TIME: Final = "document_time"
"""Its time, µs."""
REVISION: Final = "document_revision"
TIMESTAMP: Final = "@timestamp"
"""Its time, where Kibana looks for it."""
PAGE_PATH: Final = "page_path"
"""Of an incident, where Sentinel's page shows it, below `/incidents/`: for links from Kibana."""
OWN: Final = frozenset({ID, KEY, TIME, REVISION, TIMESTAMP, PAGE_PATH})

PRIORITY: Final = 200
"""Of our templates: of two whose patterns fit, the higher makes an index."""

_PRIMITIVES: Final[dict[str, str]] = {
    "boolean": "boolean",
    "int": "integer",
    "long": "long",
    "float": "float",
    "double": "double",
    "bytes": "binary",
    "string": "keyword",
}
_LONGEST_KEYWORD: Final = 1024
"""Longer texts are kept and not found by value; Lucene refuses terms above 32,766 bytes."""


_SUFFIXES: Final = {Rotation.MONTH: "%Y.%m", Rotation.DAY: "%Y.%m.%d"}
"""What the name of an index ends with."""


def template_name(prefix: str, kind: Kind) -> str:
    """Name of a kind's index template."""
    return f"{prefix}{kind}"


def indices(prefix: str, kind: Kind) -> str:
    """Pattern of a kind's indices."""
    return f"{prefix}{kind}-*"


def index_of(prefix: str, kind: Kind, time: int) -> str:
    """The index of a document: always the same for the same time, µs, so that an id is looked for
    where it is.

    >>> index_of("sentinel-", Kind.ANOMALY, 0), index_of("sentinel-", Kind.EVENT, 0)
    ('sentinel-anomaly-1970.01', 'sentinel-event-1970.01.01')
    """
    moment = datetime.fromtimestamp(time // 1_000_000, UTC)
    return f"{prefix}{kind}-{moment:{_SUFFIXES[SPECS[kind].rotation]}}"


def index_ends(prefix: str, kind: Kind, index: str) -> int | None:
    """The moment, µs, that all documents of an index lie before; None for an index that is none of
    ours.

    >>> index_ends("sentinel-", Kind.EVENT, "sentinel-event-1970.01.01")
    86400000000
    """
    rotation = SPECS[kind].rotation
    suffix = index.removeprefix(f"{prefix}{kind}-")
    try:
        begins = datetime.strptime(suffix, _SUFFIXES[rotation]).replace(tzinfo=UTC)
    except ValueError:
        return None
    if rotation is Rotation.DAY:
        end = begins + timedelta(days=1)
    else:
        # 31 days after the first of a month are always in the next one.
        end = (begins + timedelta(days=31)).replace(day=1)
    return int(end.timestamp()) * 1_000_000


def properties(kind: Kind) -> dict[str, Json]:
    """The fields of a kind's documents, as mappings have them."""
    spec = SPECS[kind]
    of_schema: dict[str, Json] = {
        field.name: _field(field.name, field.type, spec) for field in schema_of(kind).fields
    }
    if spec.has_page:
        of_schema[PAGE_PATH] = {"type": "keyword"}
    return of_schema | {
        ID: {"type": "keyword"},
        KEY: {"type": "keyword"},
        TIME: {"type": "long"},
        REVISION: {"type": "integer", "index": False},
        TIMESTAMP: {"type": "date_nanos"},
    }


def template(prefix: str, kind: Kind, replicas: int) -> dict[str, Json]:
    """The composable index template of a kind. A field that the schema does not have is refused
    with its document.
    """
    return {
        "index_patterns": [indices(prefix, kind)],
        "priority": PRIORITY,
        "_meta": {"managed_by": "sentinel", "version": VERSION},
        "template": {
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": replicas,
                "refresh_interval": "1s",
            },
            "mappings": {"dynamic": "strict", "properties": properties(kind)},
        },
    }


def times_of(kind: Kind) -> frozenset[str]:
    """Fields of a kind that are points in time: µs in a document, dates in Elasticsearch."""
    return frozenset(
        field.name for field in schema_of(kind).fields if _primitive(field.type) in _TIMES
    )


_TIMES: Final = (Primitive("long", "timestamp-micros"),)


def _primitive(kind: Type) -> Type:
    """What an optional type is when it is something."""
    if isinstance(kind, Union):
        some = [branch for branch in kind.branches if branch != Primitive("null")]
        return some[0] if len(some) == 1 else kind
    return kind


def _field(name: str, kind: Type, spec: DocumentSpec) -> Json:
    match _primitive(kind):
        case each if each in _TIMES:
            return {"type": "date_nanos"}
        case Array(items):
            return _field(name, items, spec)
        case Record(_, fields):
            return {
                "dynamic": "strict",
                "properties": {
                    field.name: _field(field.name, field.type, spec) for field in fields
                },
            }
        case Enum():
            return {"type": "keyword"}
        case Primitive("string") if name in spec.texts:
            return {"type": "text"}
        case Primitive("string") if name in spec.unsearched:
            return {"type": "keyword", "index": False, "doc_values": False}
        case Primitive("string"):
            return {"type": "keyword", "ignore_above": _LONGEST_KEYWORD}
        case Primitive(simple) if simple in ("int", "long", "float", "double"):
            return {"type": _PRIMITIVES[simple], "coerce": False}
        case Primitive(simple) if simple in _PRIMITIVES:
            return {"type": _PRIMITIVES[simple]}
    raise TypeError(f"field {name}: {kind} has no field type; add it here")
