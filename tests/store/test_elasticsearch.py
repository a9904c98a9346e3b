"""What only Elasticsearch can do to a sink."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.store.elasticsearch.answers import is_for_a_person, is_poison
from connectors.store.elasticsearch.bulk import bulk_of_less
from connectors.store.elasticsearch.templates import PRIORITY, index_of, template, template_name
from connectors.store.port import Search
from schemas.documents import Kind, Refused, StoreRefused, StoreUnavailable
from tests.harness.store_documents import anomaly, of
from tests.store.stores import IMPATIENT_S, ElasticPlace, started

ONE, OTHER = (of(Kind.ANOMALY, anomaly(number)) for number in (1, 2))


@pytest.fixture
async def place(elastic_url: str) -> AsyncIterator[ElasticPlace]:
    """A prefix of its own."""
    made = await ElasticPlace.open(elastic_url)
    yield made
    await made.close()


@pytest.fixture
async def foreign(place: ElasticPlace) -> AsyncIterator[Callable[..., str]]:
    """Makes somebody else's index template, and gives its name."""
    names = []

    def make(**template: Any) -> str:
        names.append(f"theirs-{uuid.uuid4().hex[:8]}")
        place.client.indices.put_index_template(name=names[-1], **template)
        return names[-1]

    yield make
    for name in names:
        place.client.indices.delete_index_template(name=name)


async def test_a_fault_of_the_cluster_is_no_fault_of_the_document(place: ElasticPlace) -> None:
    """A closed index answers 400 for each item, as a cluster without room for another shard does:
    waited for, and nothing is refused.
    """
    index = index_of(place.settings.index_prefix, Kind.ANOMALY, ONE.time)
    async with started(place.store(IMPATIENT_S)) as store:
        assert await store.write([ONE]) == []
        place.client.indices.close(index=index)
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.write([OTHER])
        place.client.indices.open(index=index)
        assert await store.write([OTHER]) == []


def _patterns(place: ElasticPlace, everything: bool) -> list[str]:
    # Everything of this test only: other tests use the same server.
    return (
        [f"{place.settings.index_prefix}*"]
        if everything
        else [f"{place.settings.index_prefix}anomaly-2*"]
    )


@pytest.mark.parametrize("everything", [True, False])
async def test_a_foreign_template_that_wins_is_named_before_a_document_is_written(
    place: ElasticPlace, foreign: Callable[..., str], everything: bool
) -> None:
    """Also one that has mappings of its own, or that fits one kind only."""
    name = foreign(index_patterns=_patterns(place, everything), priority=500)
    with pytest.raises(
        StoreRefused, match=f"index template {name} would make .*priority below {PRIORITY}"
    ) as told:
        async with started(place.store(IMPATIENT_S)):
            pass
    assert "\n" not in str(told.value)
    asking = place.store(IMPATIENT_S)
    try:
        # That nothing is found would be no answer.
        with pytest.raises(StoreRefused, match=name):
            await asking.search(Search(Kind.ANOMALY, "acme"))
    finally:
        await asking.close()
    assert place.client.indices.get(index=f"{place.settings.index_prefix}*").body == {}


async def test_a_foreign_template_that_comes_later_is_named_before_an_index_is_made_by_it(
    place: ElasticPlace, foreign: Callable[..., str]
) -> None:
    """Each index is looked ahead to; those that there are already go on."""
    async with started(place.store(IMPATIENT_S)) as store:
        assert await store.write([ONE]) == []
        name = foreign(index_patterns=_patterns(place, everything=True), priority=500)
        assert await store.write([OTHER]) == []
        later = of(Kind.ANOMALY, anomaly(3, event_time=ONE.time + 62 * 86_400_000_000))
        with pytest.raises(StoreRefused, match=name):
            await store.write([later])
        assert not place.client.indices.exists(
            index=index_of(place.settings.index_prefix, Kind.ANOMALY, later.time)
        )


async def test_a_foreign_template_that_makes_indices_as_they_must_be_is_fine(
    place: ElasticPlace, foreign: Callable[..., str]
) -> None:
    """A copy of ours under more replicas, say; and one that loses."""
    made: dict[str, Any] = template(place.settings.index_prefix, Kind.ANOMALY, 0)["template"]  # type: ignore[assignment]
    foreign(index_patterns=_patterns(place, everything=False), priority=500, template=made)
    foreign(index_patterns=["*"], priority=1)
    async with started(place.store(IMPATIENT_S)) as store:
        assert await store.write([ONE]) == []
        place.visible()
        assert (await store.search(Search(Kind.ANOMALY, "acme"))).documents == [ONE]


@pytest.mark.parametrize("at_start", [True, False])
async def test_an_index_that_was_made_by_dynamic_mapping_is_named(
    place: ElasticPlace, at_start: bool
) -> None:
    """Somebody wrote there before there was a template, or a person has changed what an index
    has.
    """
    index = index_of(place.settings.index_prefix, Kind.ANOMALY, ONE.time)
    unfit: dict[str, Any] = {"properties": {"tenant": {"type": "text"}}}
    if at_start:
        place.client.index(index=index, document={"tenant": "acme"})
        with pytest.raises(
            StoreRefused,
            match=f"the index {index} is not as Sentinel makes it: field tenant is text",
        ):
            async with started(place.store(IMPATIENT_S)):
                pass
        return
    async with started(place.store(IMPATIENT_S)) as store:
        place.client.indices.delete_index_template(
            name=template_name(place.settings.index_prefix, Kind.ANOMALY)
        )
        place.client.indices.create(index=index, mappings=unfit)
        with pytest.raises(StoreRefused, match=index):
            await store.write([ONE])


async def test_fields_that_records_have_grown_by_are_added_to_what_an_older_program_made(
    place: ElasticPlace,
) -> None:
    """To its template and its indices; what is stored then is taken and found."""
    older: dict[str, Any] = template(place.settings.index_prefix, Kind.ANOMALY, 0)
    del older["template"]["mappings"]["properties"]["confidence"]
    del older["template"]["mappings"]["properties"]["evidence"]["properties"]["value"]
    name = template_name(place.settings.index_prefix, Kind.ANOMALY)
    place.client.indices.put_index_template(
        name=name, **{key if key != "_meta" else "meta": value for key, value in older.items()}
    )
    place.client.indices.create(index=index_of(place.settings.index_prefix, Kind.ANOMALY, ONE.time))
    async with started(place.store(IMPATIENT_S)) as store:
        assert await store.write([ONE]) == []
        place.visible()
        assert (await store.search(Search(Kind.ANOMALY, "acme"))).documents == [ONE]


async def test_an_index_that_is_deleted_under_a_write_is_made_again(place: ElasticPlace) -> None:
    """As a purge at the same moment does; nothing is refused and the sink does not end."""
    async with started(place.store()) as store:
        for round_ in range(5):
            documents = [of(Kind.ANOMALY, anomaly(round_ * 100 + number)) for number in range(100)]
            writing = asyncio.create_task(store.write(documents))
            await asyncio.sleep(0)
            await store.purge(Kind.ANOMALY, 4_000_000_000_000_000)
            assert await writing == []


@pytest.mark.parametrize(
    ("status", "kind", "reason", "means"),
    [
        (400, "mapper_parsing_exception", "failed to parse field", "poison"),
        (400, "document_parsing_exception", "failed to parse field", "poison"),
        (400, "strict_dynamic_mapping_exception", "introduction of [x]", "poison"),
        (
            400,
            "illegal_argument_exception",
            "Document contains at least one immense term",
            "poison",
        ),
        (
            400,
            "validation_exception",
            "this action would add [2] shards, but this cluster has [1000]/[1000]",
            "passes",
        ),
        (400, "index_closed_exception", "closed", "passes"),
        (
            400,
            "illegal_argument_exception",
            "Limit of total fields [1000] has been exceeded",
            "passes",
        ),
        (403, "cluster_block_exception", "disk usage exceeded flood-stage watermark", "passes"),
        (404, "index_not_found_exception", "no such index [sentinel-anomaly-2026.05]", "passes"),
        (
            404,
            "index_not_found_exception",
            "no such index [x] and [action.auto_create_index] is [false]",
            "person",
        ),
        (429, "es_rejected_execution_exception", "rejected execution of a bulk", "passes"),
        (429, "circuit_breaking_exception", "Data too large", "passes"),
        (503, "unavailable_shards_exception", "primary shard is not active", "passes"),
        (403, "security_exception", "action [indices:data/write] is unauthorized", "person"),
        (400, "invalid_index_name_exception", "must be lowercase", "person"),
    ],
)
def test_an_answer_is_taken_for_what_it_says(
    status: int, kind: str, reason: str, means: str
) -> None:
    """Not for its status alone: each of these is the document's fault, passes, or is for a
    person.
    """
    told = (
        "poison"
        if is_poison(kind, reason)
        else "person"
        if is_for_a_person(status, kind, reason)
        else "passes"
    )
    assert told == means


async def test_a_request_that_is_too_large_for_a_proxy_goes_in_halves() -> None:
    """One that is too large alone is refused with its size; the others are stored."""
    stored: list[bytes] = []

    class Client:
        """One whose way takes no more than ten bytes."""

        async def bulk(self, operations: bytes, **_: object) -> dict[str, object]:
            if len(operations) > 10:
                from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
                from elasticsearch import ApiError

                meta = ApiResponseMeta(
                    413, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "localhost", 1)
                )
                raise ApiError("too large", meta, "<html>")
            stored.append(operations)
            return {"items": [{"create": {"status": 201}} for _ in operations.split()]}

    lines = {0: b"aaaa ", 1: b"b" * 20, 2: b"cccc ", 3: b"dddd "}
    refused: list[Refused] = []
    await bulk_of_less(Client(), lines, refused)  # type: ignore[arg-type]
    assert b"".join(stored).split() == [b"aaaa", b"cccc", b"dddd"]
    assert [each.index for each in refused] == [1]
    assert "20 bytes" in refused[0].reason
    assert lines == {}
