"""The catalogue of faults and its tests."""

import pytest

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
from tests.faults.running import suffer


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
        *test_store_faults.EMBEDDED,
        *test_store_faults.ELASTICSEARCH,
    ]
    assert sorted(tested) == sorted(FAULTS)
    assert {*test_protocol_faults.NAMES} == {*ALONE}


def test_faults_that_need_different_installations_are_not_run_together() -> None:
    """They would be run over that of the first."""
    pair = [FAULTS["kills"], FAULTS["network-reset"]]
    with pytest.raises(ValueError, match="kills, network-reset"):
        suffer(pair, None, events=1, seed=1, long=False, say=print)  # type: ignore[arg-type]
