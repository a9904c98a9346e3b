"""Are the closed windows of an engine those of the reference, number for number?"""

import numpy as np

from benchmarks.peers.work import COLUMNS, WINDOW_S, Int64s, Work
from tests.harness.showing import BenchmarkFailed

UNTOLD = -1
"""In place of a number that an engine does not write."""


def checked(work: Work, right: Int64s, closed: Int64s, due: int, least: int) -> int:
    """How many closed windows were compared and found right.

    `closed` has rows of key's place, window start (µs) and the numbers in the order of COLUMNS; the
    first `due` windows must be there for every key, and `least` rows in all. A row that comes twice
    with the same numbers counts once: engines that promise at least once may repeat themselves.
    Raises BenchmarkFailed, naming the first key, window and number that is wrong.
    """
    if closed.size == 0:
        raise BenchmarkFailed("no closed window came out")
    place, window = closed[:, 0], (closed[:, 1] - work.start) // (WINDOW_S * 1_000_000)
    strange = (place < 0) | (place >= work.keys) | (window < 0) | (window >= work.windows)
    if strange.any():
        row = closed[int(np.argmax(strange))]
        raise BenchmarkFailed(
            f"a closed window that no event belongs to: key {row[0]}, start {row[1]} µs"
        )
    expected, numbers = right[window, place], closed[:, 2:]
    wrong = (numbers != expected) & (numbers != UNTOLD)
    if wrong.any():
        row, column = (int(at) for at in np.argwhere(wrong)[0])
        raise BenchmarkFailed(
            f"{COLUMNS[column]} of key {place[row]} in window {window[row]} is"
            f" {numbers[row, column]}, not {expected[row, column]}"
            f" ({int(wrong.any(axis=1).sum()):,} of {len(closed):,} closed windows differ)"
        )
    there = np.zeros((work.windows, work.keys), bool)
    there[window, place] = True
    missing = ~there[:due] & (right[:due, :, 0] > 0)
    if missing.any():
        raise BenchmarkFailed(
            f"{int(missing.sum()):,} closed windows are missing of the first {due} of every key"
        )
    if (count := int(there.sum())) < least:
        raise BenchmarkFailed(f"only {count:,} closed windows came out, of at least {least:,}")
    return count
