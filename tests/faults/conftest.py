"""What the faults' tests share."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.running import Place, place, suffer

_EVENTS = 8_000

Holds = Callable[[str], None]


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    """A broker of a file's own."""
    with place() as made:
        yield made


@pytest.fixture
def holds(at: Place) -> Holds:
    """Fails when an invariant does not hold after the fault of that name."""

    def check(name: str) -> None:
        said: list[str] = []
        figures = suffer(FAULTS[name], at, events=_EVENTS, seed=3, long=False, say=said.append)
        words = [
            *said,
            str(figures.numbers),
            *map(str, figures.verdict.differing),
            *figures.verdict.ran.last_words,
        ]
        assert figures.broken == [], "\n".join(words)
        assert figures.verdict.numbers["anomalies"]
        assert figures.verdict.numbers["messages"]

    return check
