"""What only Elasticsearch can do to a sink."""

import pytest

from connectors.store.templates import index_of
from schemas.documents import Kind, StoreUnavailable
from tests.store.documents import anomaly, of
from tests.store.stores import IMPATIENT_S, ElasticPlace, started


async def test_a_fault_of_the_cluster_is_no_fault_of_the_document(elastic_url: str) -> None:
    """A closed index answers 400 for each item, as a cluster without room for another shard does: waited for, and nothing is refused."""
    place = await ElasticPlace.open(elastic_url)
    one, other = of(Kind.ANOMALY, anomaly(1)), of(Kind.ANOMALY, anomaly(2))
    index = index_of(place.settings.index_prefix, Kind.ANOMALY, one.time)
    try:
        async with started(place.store(IMPATIENT_S)) as store:
            assert await store.write([one]) == []
            place.client.indices.close(index=index)
            with pytest.raises(StoreUnavailable, match="closed"):
                await store.write([other])
            place.client.indices.open(index=index)
            assert await store.write([other]) == []
    finally:
        await place.close()
