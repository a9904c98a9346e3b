"""What happens to workers, in the quick form; `make faults` has it longer."""

import pytest

from tests.faults.conftest import Holds

NAMES = [
    "kills",
    "zombie",
    "rebalance-storm",
    "scale",
    "relief",
    "clocks-off",
    "detector-bug",
    "settings-wrong",
]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_wrong_or_told_twice(holds: Holds, name: str) -> None:
    """And no lane that has records stands still."""
    holds(name)
