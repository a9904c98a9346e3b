"""What happens to the broker and the network, in the quick form; `make faults` has them all, and longer."""

from collections.abc import Iterator

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.running import Place, place, suffer

EVENTS = 8_000


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    """A broker of their own."""
    with place() as made:
        yield made


@pytest.mark.parametrize("name", ["broker-paused", "broker-killed", "network-black-hole", "network-half-closed"])
def test_nothing_is_lost_wrong_or_told_twice(at: Place, name: str) -> None:
    """And no lane that has records stands still."""
    said: list[str] = []
    figures = suffer(FAULTS[name], at, events=EVENTS, seed=3, long=False, say=said.append)
    assert figures.broken == [], "\n".join([*said, str(figures.numbers), *map(str, figures.verdict.differing)])
    assert figures.verdict.numbers["anomalies"]
    assert figures.verdict.numbers["messages"]
