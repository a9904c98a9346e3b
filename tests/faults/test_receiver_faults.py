"""What receivers of messages do, and a full disk under the embedded store, in the quick form; `make
faults` has it longer.
"""

from tests.faults.conftest import Holds

NAMES = [
    "receiver-slow",
    "receiver-breaks-off",
    "receiver-redirects",
    "receiver-wrong-tls",
    "store-disk-full",
]


def test_nothing_is_lost_wrong_or_sent_twice_whatever_receivers_do(holds: Holds) -> None:
    """And no lane that has records stalls; every document is in the store's file once."""
    holds(NAMES)
