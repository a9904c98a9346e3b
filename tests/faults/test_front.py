"""The front spoils the documents that it should, and comparing a store with the topics shows what
differs.
"""

from dataclasses import replace

from connectors.store.elasticsearch.coding import bulk_lines
from schemas.documents import Document, Kind
from tests.faults.front import Front, Item
from tests.harness.documents import body, newest
from tests.harness.store_documents import anomaly, incident, of

PREFIX = "fault1-"


def item(given: Document) -> Item:
    """As the store sends it."""
    return Item(*bulk_lines(PREFIX, given).splitlines())


def test_a_document_that_was_spoiled_once_is_spoiled_whenever_it_comes() -> None:
    """As many as were asked for; another revision of an incident is another document."""
    front, bound = Front(), {Kind.ANOMALY: 1, Kind.INCIDENT: 1}
    first, second = of(Kind.ANOMALY, anomaly(1)), of(Kind.ANOMALY, anomaly(2))
    opened, ended = (of(Kind.INCIDENT, incident(1, revision)) for revision in (1, 2))
    items = [item(each) for each in (first, second, opened, ended)]
    for _ in range(2):
        passed = list(front.spoiled(PREFIX, items, bound))
        assert [one == other for one, other in zip(passed, items, strict=True)] == [
            False,
            True,
            False,
            True,
        ]
        assert [one.action for one in passed] == [one.action for one in items]
    assert front.refused == {(Kind.ANOMALY, first.key, 0), (Kind.INCIDENT, opened.key, 1)}


def test_the_newest_revision_counts_and_of_one_revision_the_first() -> None:
    """As the store has it."""
    one, later = of(Kind.INCIDENT, incident(1, 1)), of(Kind.INCIDENT, incident(1, 2))
    again = replace(later, body={**later.body, "title": "said otherwise"})
    assert newest([later, one, again]) == {(Kind.INCIDENT, one.key): body(later)}
