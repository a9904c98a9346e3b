"""What both stores make of a search: its check, and the cursor."""

import base64
import binascii
from typing import Final

import orjson

from connectors.store.port import MAX_PAGE, BadSearch, Search
from schemas.avro.schema import Enum, Primitive, Type, Union
from schemas.bounds import MAX_EVENT_TIME
from schemas.documents import schema_of
from schemas.measures import METRICS

_CURSOR_BYTES: Final = 200
_KEY_CHARS: Final = 64


def checked(search: Search) -> tuple[int, str] | None:
    """The place after which the page begins: time and key; None for the first. Raises BadSearch."""
    if not 1 <= search.limit <= MAX_PAGE:
        raise BadSearch(f"limit is {search.limit}; it must be 1 to {MAX_PAGE}")
    fields = {field.name: field.type for field in schema_of(search.kind).fields}
    for name in search.equal:
        if name not in fields or not _is_text(fields[name]):
            raise BadSearch(f"{search.kind} has no text field {name!r}")
    return None if search.cursor is None else _place(search.cursor)


def check_metric(metric: str) -> None:
    """Raises BadSearch for what is no metric."""
    if metric not in METRICS:
        raise BadSearch(f"{metric!r} is no metric; known are {', '.join(METRICS)}")


def cursor(time: int, key: str) -> str:
    """The cursor of a page whose last document is this."""
    return base64.urlsafe_b64encode(orjson.dumps([time, key])).decode()


def _place(text: str) -> tuple[int, str]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(text[:_CURSOR_BYTES]))
    except (binascii.Error, ValueError):
        place = None
    match place:
        case [int(time), str(key)] if (
            not isinstance(time, bool) and abs(time) <= MAX_EVENT_TIME and len(key) <= _KEY_CHARS
        ):
            return time, key
    raise BadSearch("invalid cursor: give what `next` of the page before holds")


def _is_text(kind: Type) -> bool:
    match kind:
        case Primitive("string") | Enum():
            return True
        case Union(branches):
            return any(_is_text(branch) for branch in branches)
    return False
