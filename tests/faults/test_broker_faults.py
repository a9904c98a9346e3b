"""What happens to the broker, in the quick form; `make faults` has it longer."""

from tests.faults.conftest import Holds

OF_ONE = [
    "broker-paused",
    "broker-killed",
    "broker-bounced",
    "broker-disk-full",
    "outputs-refused",
    "state-compacted",
]
OF_THREE = ["node-killed", "node-paused"]


def test_nothing_is_lost_wrong_or_sent_twice_by_faults_of_a_lone_broker(holds: Holds) -> None:
    """And no lane that has records stalls once the harm is over."""
    holds(OF_ONE)


def test_nothing_is_lost_wrong_or_sent_twice_by_faults_of_one_of_three_nodes(holds: Holds) -> None:
    """And no lane that has records stalls once the harm is over."""
    holds(OF_THREE)
