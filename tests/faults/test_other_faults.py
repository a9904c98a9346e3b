"""What producers send and receivers do, in the quick form; `make faults` has it longer."""

import pytest

from tests.faults.catalogue import ALONE, FAULTS
from tests.faults.conftest import Holds
from tests.faults.test_broker_faults import NAMES as BROKER
from tests.faults.test_network_faults import NAMES as NETWORK
from tests.faults.test_process_faults import NAMES as PROCESSES
from tests.faults.test_protocol_faults import NAMES as PROTOCOL
from tests.faults.test_store_faults import NAMES as STORES

NAMES = [
    "records-bad",
    "records-deadly",
    "records-of-two-schemas",
    "records-large",
    "records-disordered",
    "receiver-slow",
    "receiver-breaks-off",
    "receiver-redirects",
    "receiver-wrong-tls",
]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_wrong_or_told_twice(holds: Holds, name: str) -> None:
    """And no lane that has records stands still."""
    holds(name)


def test_every_fault_has_its_test() -> None:
    """In one of these files."""
    assert {*NAMES, *BROKER, *NETWORK, *PROCESSES, *STORES} == {*FAULTS}
    assert {*PROTOCOL} == {*ALONE}
