"""What happens to the network before the broker, in the quick form; `make faults` has it longer."""

import pytest

from tests.faults.conftest import Holds

NAMES = [
    "network-delay",
    "network-throttled",
    "network-black-hole",
    "network-reset",
    "network-half-closed",
]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_wrong_or_told_twice(holds: Holds, name: str) -> None:
    """And no lane that has records stands still once the harm is over."""
    holds(name)
