"""Findings of `sentinel doctor`: one line for each check, with advice where something is wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TIMEOUT_S: Final = 5.0
"""Seconds that one answer may take."""

MAX_CLOCK_OFFSET_S: Final = 5.0
"""Seconds by which a clock may differ from this machine's: the default of `lanes.lateness_s`."""


class Health(StrEnum):
    """Result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, its state, and what to do about it (empty for OK)."""

    what: str
    health: Health
    detail: str
    advice: str = ""


def ok(what: str, detail: str) -> Finding:
    """A check that found nothing wrong."""
    return Finding(what, Health.OK, detail)


def warning(what: str, detail: str, advice: str) -> Finding:
    """A check that found something that works and is probably not intended."""
    return Finding(what, Health.WARNING, detail, advice)


def failed(what: str, detail: str, advice: str) -> Finding:
    """A check that found something that does not work."""
    return Finding(what, Health.FAILED, detail, advice)
