"""What receivers of messages do, in the quick form; `make faults` has it longer."""

from tests.faults.conftest import Holds

NAMES = ["receiver-slow", "receiver-breaks-off", "receiver-redirects", "receiver-wrong-tls"]


def test_nothing_is_lost_wrong_or_sent_twice_whatever_receivers_do(holds: Holds) -> None:
    """And no lane that has records stalls."""
    holds(NAMES)
