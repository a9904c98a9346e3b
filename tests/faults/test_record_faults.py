"""What producers send, in the quick form; `make faults` has it longer."""

from tests.faults.conftest import Holds

NAMES = [
    "records-bad",
    "records-deadly",
    "records-large",
    # From here on a part of the traffic is late.
    "records-disordered",
    "records-of-two-schemas",
]


def test_nothing_is_lost_wrong_or_sent_twice_whatever_producers_send(holds: Holds) -> None:
    """And no lane that has records stalls."""
    holds(NAMES)
