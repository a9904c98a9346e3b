"""Which events are stored when not all are."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from agents.sinking.sampling import LoggedEvent, sampled
from agents.sinking.settings import SinkSettings
from agents.stages.sink import looked_back
from schemas.documents import Kind
from tests.harness.store_documents import anomaly, of
from tests.harness.telemetry_log import event


def test_a_share_of_the_log_is_chosen_by_place_alone() -> None:
    """The same however the log is cut, others in each partition, and about as many as were asked
    for.
    """
    offsets = np.arange(200_000)
    whole = sampled(3, offsets, 0.01)
    parts = [sampled(3, offsets[at : at + 777], 0.01) for at in range(0, len(offsets), 777)]
    assert np.array_equal(np.concatenate(parts), whole)
    # Of a fair draw it is further off once in a thousand million.
    assert abs(whole.sum() - 2000) < 6 * 45
    assert 0 < (whole & sampled(4, offsets, 0.01)).sum() < 60
    assert (sampled(0, offsets, 0).sum(), sampled(0, offsets, 1).sum()) == (0, len(offsets))


class Log:
    """Telemetry of one partition, and what was read of it."""

    def __init__(self, values: list[bytes]) -> None:
        self.values = values
        self.reads: list[tuple[int, int]] = []

    async def read(self, partition: int, start: int, end: int) -> Sequence[LoggedEvent]:
        """As the log has it."""
        self.reads.append((start, end))
        return [
            LoggedEvent(partition, offset, None, self.values[offset])
            for offset in range(start, end)
        ]


def test_cited_events_are_found_from_the_anomaly_back() -> None:
    """Near ones by one short look, far ones by longer ones, each once; none beyond the limit."""
    log = Log([event(number, 0, tenant="acme").to_bytes() for number in range(5000)])
    near, far, beyond = (event(number, 0, tenant="acme").event_id for number in (4899, 1500, 100))

    def looked_for(*ids: str, within: int = 4000) -> list[str]:
        log.reads.clear()
        documents = [
            of(Kind.ANOMALY, anomaly(number, offset=4899, sample_event_ids=ids))
            for number in (1, 2)
        ]
        return sorted(one.document.id for one in asyncio.run(looked_back(log, documents, within)))

    assert looked_for(near) == [near]
    assert log.reads == [(3900, 4900)]
    assert looked_for(near, far) == sorted([near, far])
    assert log.reads == [(3900, 4900), (900, 3900)]
    assert looked_for(near, beyond) == [near]
    assert looked_for(beyond, within=5000) == [beyond]
    assert looked_for() == []
    assert log.reads == []


def test_anomalies_of_near_records_are_looked_back_from_together() -> None:
    """An outage makes thousands at once: the log is read once for them all, and not at all for
    places that no log has.
    """
    log = Log([event(number, 0, tenant="acme").to_bytes() for number in range(5000)])
    cites = [(at, event(at - 5, 0, tenant="acme").event_id) for at in range(3000, 3600, 3)]
    documents = [
        of(Kind.ANOMALY, anomaly(at, offset=at, sample_event_ids=(id,))) for at, id in cites
    ]
    documents += [of(Kind.ANOMALY, anomaly(9000, lane=-1, offset=5, sample_event_ids=("x",)))]
    documents += [of(Kind.ANOMALY, anomaly(9001, offset=-5, sample_event_ids=("x",)))]
    found = asyncio.run(looked_back(log, documents, 4000))
    assert sorted(one.document.id for one in found) == sorted(id for _, id in cites)
    assert log.reads == [(2001, 3598)]


def test_an_event_of_another_tenant_is_not_the_one_that_is_cited() -> None:
    """Though its id is; nor is a record that only mentions the id."""
    meant = event(1, 0, tenant="acme")
    log = Log(
        [
            event(1, 0, tenant="other").to_bytes(),
            event(2, 0, tenant="acme", session=meant.event_id).to_bytes(),
            b"bad " + meant.event_id.encode(),
        ]
    )
    citing = of(Kind.ANOMALY, anomaly(1, offset=2, sample_event_ids=(meant.event_id,)))
    assert asyncio.run(looked_back(log, [citing], 100)) == []
    log.values.insert(0, meant.to_bytes())
    assert [one.record.offset for one in asyncio.run(looked_back(log, [citing], 100))] == [0]


def test_shares_are_shares() -> None:
    """And a look-back of nothing finds nothing."""
    with pytest.raises(ValueError, match="0 to 1"):
        SinkSettings(sampled_share=5)
    with pytest.raises(ValueError, match="1 or more"):
        SinkSettings(cited_within=0)
