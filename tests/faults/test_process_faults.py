"""What happens to workers and receivers, in the quick form; `make faults` has them all, and longer."""

import pytest

from tests.faults.conftest import Holds


@pytest.mark.parametrize("name", ["zombie", "rebalance-storm", "receiver-breaks-off"])
def test_nothing_is_lost_wrong_or_told_twice(holds: Holds, name: str) -> None:
    """And no lane that has records stands still."""
    holds(name)
