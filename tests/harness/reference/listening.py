"""Which watermarks a lane must have told each partition of `anomalies`, written from the rule and
not from the code that it checks.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from tests.harness.reference.undisturbed import Outputs

_HOUR_US: Final = 3_600_000_000

Close = tuple[int, int]
"""Offset of the record that moved the watermark, and where to, µs."""


def wrong_marks(closes: Sequence[Close], outputs: Outputs) -> Iterator[tuple[str, int, Close]]:
    """What is wrong with the watermarks of a lane that had these closes, in order: the error, the
    partition, the mark.

    From the first thing said there on, a partition hears every close up to the first that is an
    hour past what was said; while something lasts it hears more. Where it did not listen before, it
    hears the lane's last watermark first. Beside these none is told, and nowhere else any.
    """
    offsets, known = [offset for offset, _ in closes], set(closes)
    for partition in outputs.watermarks.keys() | outputs.heard.keys():
        said, told = (
            outputs.heard.get(partition, []),
            {mark[1:] for mark in outputs.watermarks.get(partition, {})},
        )
        due = {
            close
            for offset, event_time in said
            for close in _due(closes, offsets, offset, event_time)
        }
        yield from (("missing", partition, close) for close in sorted(due - told))
        first = min((offset for offset, _ in said), default=1 << 62)
        spoken = {(offset, _last(closes, offsets, offset)) for offset, _ in said}
        for close in sorted(told):
            if close[0] < first or not (close in known or close in spoken):
                yield "unexpected", partition, close


def _due(
    closes: Sequence[Close], offsets: Sequence[int], offset: int, event_time: int
) -> Iterator[Close]:
    """Closes that are told where something of that event time was said by the record at this
    offset.
    """
    for place in range(bisect_left(offsets, offset), len(closes)):
        yield closes[place]
        if closes[place][1] >= event_time + _HOUR_US:
            return


def _last(closes: Sequence[Close], offsets: Sequence[int], offset: int) -> int | None:
    """The watermark before what the record at this offset moved."""
    place = bisect_left(offsets, offset)
    return closes[place - 1][1] if place else None
