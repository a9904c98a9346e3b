"""The catalogue of faults and its tests."""

import pytest
from aiokafka.partitioner import murmur2

from tests.faults import (
    test_broker_faults,
    test_network_faults,
    test_process_faults,
    test_protocol_faults,
    test_receiver_faults,
    test_record_faults,
    test_store_faults,
)
from tests.faults.catalogue import ALONE, FAULTS
from tests.faults.conftest import EVENTS, SEED, SUBJECTS
from tests.faults.running import suffer
from tests.harness.exactness.plan import PARTITIONS, SPAN_US
from tests.harness.exactness.traffic import Traffic


def test_every_fault_has_its_test() -> None:
    """Once, in one of these files."""
    tested = [
        *test_broker_faults.OF_ONE,
        *test_broker_faults.OF_THREE,
        *test_network_faults.NAMES,
        *test_process_faults.DEATHS,
        *test_process_faults.CHANGES,
        *test_receiver_faults.NAMES,
        *test_record_faults.NAMES,
        *test_store_faults.NAMES,
    ]
    assert sorted(tested) == sorted(FAULTS)
    assert {*test_protocol_faults.NAMES} == {*ALONE}


def test_every_lane_has_traffic() -> None:
    """Of the subjects of a quick run, though these are few."""
    traffic = Traffic(EVENTS, SUBJECTS, SEED, 1_700_000_000_000_000, SPAN_US)
    keys = {key for chunk in traffic.chunks() for key in chunk.keys}
    assert {(murmur2(key) & 0x7FFFFFFF) % PARTITIONS for key in keys} == {*range(PARTITIONS)}


@pytest.mark.parametrize(
    "names",
    [["kills", "network-reset"], ["kills", "node-killed"], ["store-disk-full", "store-slow"]],
)
def test_faults_that_need_different_installations_are_not_run_together(names: list[str]) -> None:
    """They would be run over that of the first."""
    faults = [FAULTS[name] for name in names]
    with pytest.raises(ValueError, match=", ".join(names)):
        suffer(faults, None, events=1, subjects=1, seed=1, long=False, say=print)  # type: ignore[arg-type]
