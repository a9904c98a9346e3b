"""Text from telemetry made safe to display: one line, no control characters, of bounded length."""

import unicodedata
from typing import Final

_DROPPED: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
"""Unicode categories: control, formatting (which can reverse or hide the text that follows),
surrogates, private, unassigned, line separators.
"""


def plain(text: str, limit: int) -> str:
    """The text in one line of at most `limit` characters, cut with an ellipsis.

    >>> plain("latency\\x1b[31m of\\nchat\\u202eipa", 80), plain("abcdef", 4)
    ('latency [31m of chat ipa', 'abc…')
    """
    kept = "".join(" " if unicodedata.category(sign) in _DROPPED else sign for sign in text)
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
