"""Counting what two sides disagree about."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

_EXAMPLES: Final = 5

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class Tally:
    """What one comparison found. All but `compared` and `repeated` are errors."""

    what: str
    compared: int = 0
    """Things that the reference has."""
    missing: int = 0
    """The reference has it, and nobody else."""
    duplicates: int = 0
    """Counted twice by a reader that follows the documented rule."""
    unequal: int = 0
    """Both have it, with other bytes."""
    unexpected: int = 0
    """The reference does not have it."""
    repeated: int = 0
    """Written or sent again under the same name with the same bytes, which readers skip: no
    error.
    """
    examples: list[str] = field(default_factory=list)
    """The first few errors, in words."""

    @property
    def errors(self) -> int:
        """How much is wrong."""
        return self.missing + self.duplicates + self.unequal + self.unexpected

    def note(self, kind: str, name: object) -> None:
        """Keeps an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{kind}: {name}")

    def add(self, other: "Tally") -> None:
        """Takes another lane's comparison of the same things in."""
        self.compared += other.compared
        self.missing += other.missing
        self.duplicates += other.duplicates
        self.unequal += other.unequal
        self.unexpected += other.unexpected
        self.repeated += other.repeated
        self.examples = (self.examples + other.examples)[:_EXAMPLES]


def tallied(
    what: str, expected: Mapping[K, V], actual: Iterable[tuple[K, V]], *, once: bool
) -> Tally:
    """Compares by name. With `once` a name that comes twice is a duplicate; without, it is repeated
    as long as it says the same.

    >>> tallied("letters", {"a": 1, "b": 2}, [("a", 1), ("a", 1), ("c", 3)], once=False).errors
    2
    """
    tally = Tally(what, compared=len(expected))
    seen: dict[K, V] = {}
    for name, value in actual:
        if name in seen:
            if once:
                tally.duplicates += 1
                tally.note("twice", name)
            elif seen[name] != value:
                tally.unequal += 1
                tally.note("says two things", name)
            else:
                tally.repeated += 1
            continue
        seen[name] = value
        if name not in expected:
            tally.unexpected += 1
            tally.note("unexpected", name)
        elif expected[name] != value:
            tally.unequal += 1
            tally.note("unequal", name)
    for name in expected:
        if name not in seen:
            tally.missing += 1
            tally.note("missing", name)
    return tally
