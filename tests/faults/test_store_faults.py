"""What stores do, in the quick form; `make faults` has it longer."""

from tests.conftest import without
from tests.faults.conftest import Holds
from tests.harness.servers.elasticsearch import missing

EMBEDDED = ["store-disk-full"]
ELASTICSEARCH = [
    "store-slow",
    "store-throttles",
    "store-unavailable",
    "store-breaks-off",
    "store-killed",
    "store-refuses-one",
]


def test_every_document_is_in_the_file_once_after_its_disk_was_full(holds: Holds) -> None:
    """And nothing is lost, wrong or sent twice elsewhere."""
    holds(EMBEDDED)


def test_every_document_is_in_elasticsearch_once_or_a_dead_letter(holds: Holds) -> None:
    """And nothing is lost, wrong or sent twice elsewhere."""
    if why := missing():
        without("Elasticsearch", why)
    holds(ELASTICSEARCH)
