"""What happens to the network before the broker, in the quick form; `make faults` has it longer."""

from tests.faults.conftest import Holds

NAMES = [
    "network-delay",
    "network-throttled",
    "network-black-hole",
    "network-reset",
    "network-half-closed",
]


def test_nothing_is_lost_wrong_or_sent_twice_by_faults_of_the_network(holds: Holds) -> None:
    """And no lane that has records stalls once the harm is over."""
    holds(NAMES)
