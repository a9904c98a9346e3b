"""Which texts the API takes from people: what somebody else reads must be what was written."""

import unicodedata
from typing import Final

from schemas.bounds import MAX_ID_BYTES

LONGEST_NAME: Final = MAX_ID_BYTES

_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction in which the text after them is read."""
_UNSEEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of surrogate pairs, separators of lines and paragraphs."""


def name(text: str) -> str:
    """A name or an id. Whatever telemetry may have it may have: control characters too, or what has
    them could not be looked at.

    Raises ValueError for one that is longer than any in telemetry, or no text.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    if size > LONGEST_NAME:
        raise ValueError(f"is longer than {LONGEST_NAME} bytes of UTF-8")
    return text


def line(text: str) -> str:
    """One line that others read. Raises ValueError for signs that are not seen or turn the
    direction of writing.
    """
    for sign in text:
        if unicodedata.category(sign) in _UNSEEN or sign in _TURNING:
            raise ValueError(
                f"must not have the character U+{ord(sign):04X}; control characters and the like"
                " are refused"
            )
    return text


def prose(text: str) -> str:
    """The same, over several lines."""
    for part in text.split("\n"):
        line(part.replace("\t", " "))
    return text
