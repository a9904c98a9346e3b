"""A secret that does not show itself."""

from typing import Final


class Secret:
    """Text that logs, tracebacks and `repr` show as `***`; `reveal()` returns it to the code that
    sends it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """The secret itself: for the call that sends it, never for a message."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))
