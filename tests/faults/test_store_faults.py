"""What stores do, in the quick form; `make faults` has it longer."""

import pytest

from tests.conftest import without
from tests.faults.conftest import Holds
from tests.harness.servers.elasticsearch import missing

EMBEDDED = ["store-disk-full"]
ELASTICSEARCH = [
    "store-slow",
    "store-throttles",
    "store-unavailable",
    "store-breaks-off",
    "store-refuses-one",
    "store-killed",
]
NAMES = [*EMBEDDED, *ELASTICSEARCH]


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_document_is_in_the_file_once(holds: Holds, name: str) -> None:
    """And nothing is lost, wrong or told twice elsewhere."""
    holds(name)


@pytest.mark.parametrize("name", ELASTICSEARCH)
def test_every_document_is_in_elasticsearch_once_or_a_dead_letter(holds: Holds, name: str) -> None:
    """And nothing is lost, wrong or told twice elsewhere."""
    if why := missing():
        without("Elasticsearch", why)
    holds(name)
