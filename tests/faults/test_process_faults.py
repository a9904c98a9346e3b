"""What happens to workers, in the quick form; `make faults` has it longer."""

from tests.faults.conftest import Holds

DEATHS = ["kills", "zombie", "detector-bug", "settings-wrong"]
CHANGES = ["scale", "relief", "clocks-off", "rebalance-storm"]


def test_nothing_is_lost_wrong_or_sent_twice_when_workers_die(holds: Holds) -> None:
    """Killed, frozen, broken off by a bug, or started with settings that they refuse."""
    holds(DEATHS)


def test_nothing_is_lost_wrong_or_sent_twice_when_lanes_change_hands(holds: Holds) -> None:
    """In order, in a storm, and to workers whose clocks are off."""
    holds(CHANGES)
