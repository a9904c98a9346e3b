"""Values without their unit."""

from typing import Final

_HIGHEST: Final = 1e100
"""Units beyond which a value counts as this many: its square is still finite."""

_RESOLUTION: Final = 1e-12
"""Relative differences up to this are rounding errors of the program that wrote the values."""


class Scale:
    """Values in units of the first change of the series, counted from its first value.

    Scores are therefore the same in any unit, also for values near the smallest and the largest
    that a float can hold.

    >>> scale = Scale()
    >>> [scale.update(value) for value in (7e300, 7e300, 5e300, 1.1e301)]
    [0.0, 0.0, -1.0, 2.0]
    """

    __slots__ = ("_first", "_unit")

    def __init__(self) -> None:
        self._first: float | None = None
        self._unit = 0.0

    def update(self, value: float) -> float:
        """`value`, finite, in these units: 0 until the series changes, and never beyond 1e100."""
        if self._first is None:
            self._first = value
        change = value - self._first
        if abs(change) <= _RESOLUTION * max(abs(value), abs(self._first)):
            return 0.0
        if self._unit == 0.0:
            self._unit = min(abs(change), 1e308)
        return max(-_HIGHEST, min(_HIGHEST, change / self._unit))
