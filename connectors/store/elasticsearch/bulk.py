"""Bulk requests to Elasticsearch: how documents are cut into them, and what is made of each item's
answer.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from elasticsearch import ApiError, AsyncElasticsearch

from connectors.store.elasticsearch.answers import is_for_a_person, is_poison, reason_of
from connectors.store.elasticsearch.coding import bulk_lines
from schemas.documents import Document, Refused, StoreRefused, StoreUnavailable

BULK_BYTES: Final = 1_000_000
"""Largest bulk request: enough that requests cost little, few enough that the next is ready by the
time that one is done.
"""

_TOO_LARGE: Final = 413


async def bulk(client: AsyncElasticsearch, lines: dict[int, bytes], refused: list[Refused]) -> None:
    """Sends the lines, and takes from them what is done or refused. Raises StoreUnavailable when
    something is left.
    """
    operations: Any = b"".join(lines.values())
    try:
        answer = await client.bulk(
            operations=operations,
            filter_path="items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason",
            # What people wrote is not to come back in error texts, which are logged.
            include_source_on_error=False,
        )
    except ApiError as fault:
        if fault.status_code != _TOO_LARGE:
            raise
        await bulk_of_less(client, lines, refused)
        return
    again: set[int] = set()
    why = ""
    for index, item in zip(lines, answer["items"], strict=True):
        (result,) = item.values()
        status = result["status"]
        # 409: it is there already, or a newer revision of it.
        if status < 300 or status == 409:
            continue
        kind, reason = result["error"]["type"], reason_of(result["error"])
        if is_poison(kind, reason):
            refused.append(Refused(index, reason))
        elif is_for_a_person(status, kind, reason):
            raise StoreRefused(f"Elasticsearch does not let us write: {reason}")
        else:
            again.add(index)
            why = reason
    for index in lines.keys() - again:
        del lines[index]
    if again:
        raise StoreUnavailable(
            f"Elasticsearch does not take {len(again)} of the documents now: {why}"
        )


async def bulk_of_less(
    client: AsyncElasticsearch, lines: dict[int, bytes], refused: list[Refused]
) -> None:
    """The same in halves: something on the way takes no request as large as that. A document that
    is too large alone is refused.
    """
    if len(lines) == 1:
        (index,) = lines
        refused.append(
            Refused(
                index,
                f"too large: {len(lines.pop(index))} bytes are more than Elasticsearch, or a proxy"
                " before it, takes",
            )
        )
        return
    given = list(lines.items())
    for half in (given[: len(given) // 2], given[len(given) // 2 :]):
        left = dict(half)
        try:
            await bulk(client, left, refused)
        finally:
            for index in dict(half).keys() - left.keys():
                del lines[index]


def requests_of(prefix: str, documents: Sequence[Document]) -> Iterator[dict[int, bytes]]:
    """The lines of each request, by index of the document. They are made when they are asked for,
    while other requests are under way.
    """
    lines: dict[int, bytes] = {}
    held = 0
    for index, given in enumerate(documents):
        line = bulk_lines(prefix, given)
        if lines and held + len(line) > BULK_BYTES:
            yield lines
            lines, held = {}, 0
        lines[index] = line
        held += len(line)
    if lines:
        yield lines
