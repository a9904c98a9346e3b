"""What the faults' tests share."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.running import Place, place, suffer

EVENTS, SUBJECTS, SEED = 3_000, 18, 3
"""Events for each fault, and subjects in all. A reference takes each event singly, and closes each
subject's buckets.
"""

Holds = Callable[[Sequence[str]], None]


@pytest.fixture(scope="module")
def at(kafka_jars: None) -> Iterator[Place]:
    """A broker of a file's own."""
    with place() as made:
        yield made


@pytest.fixture
def holds(at: Place) -> Holds:
    """Fails when an invariant does not hold after the faults of these names, one after the other
    over one installation.
    """

    def check(names: Sequence[str]) -> None:
        said: list[str] = []
        faults = [FAULTS[name] for name in names]
        assert not any(fault.is_last for fault in faults[:-1])
        figures = suffer(
            faults, at, events=EVENTS, subjects=SUBJECTS, seed=SEED, long=False, say=said.append
        )
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
