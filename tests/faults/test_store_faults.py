"""What Elasticsearch does, in the quick form; `make faults` has it longer."""

from tests.conftest import without
from tests.faults.conftest import Holds
from tests.harness.servers.elasticsearch import missing

NAMES = [
    "store-slow",
    "store-throttles",
    "store-unavailable",
    "store-breaks-off",
    "store-killed",
    "store-refuses-one",
]


def test_every_document_is_in_elasticsearch_once_or_a_dead_letter(holds: Holds) -> None:
    """And nothing is lost, wrong or sent twice elsewhere."""
    if why := missing():
        without("Elasticsearch", why)
    holds(NAMES)
