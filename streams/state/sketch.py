"""A quantile sketch of integers with a stated relative error, as rows of integer bins that merge by
addition.

The bin of a value comes from the leading bits of its float64 form (exponent and the first
`SUB_BITS` bits of the fraction), which every processor computes alike, unlike a logarithm. Values
are microseconds; those below `MIN` share the first bin and those from `MAX` on the last.

The layout is that of HdrHistogram and of DDSketch's cubically interpolated cousin (Masson et al.,
VLDB 2019): log-linear.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

SUB_BITS: Final = 2
_MIN_EXPONENT: Final = 10
_OCTAVES: Final = 20

BINS: Final = _OCTAVES << SUB_BITS
"""Bins of a sketch: 20 octaves of four."""

MIN: Final = 1 << _MIN_EXPONENT
"""Values below this share the first bin with it, µs (about a millisecond)."""

MAX: Final = 1 << (_MIN_EXPONENT + _OCTAVES)
"""Values from here on share the last bin, µs (about eighteen minutes)."""

RELATIVE_ERROR: Final = 1 / (2 << SUB_BITS)
"""A quantile differs from the value at its rank by at most this share of it, for values between
`MIN` and `MAX`.
"""

_FRACTION_BITS: Final = 52
SHIFT: Final = _FRACTION_BITS - SUB_BITS
"""Number of low bits of a float64 that do not select the bin."""
OFFSET: Final = (1023 + _MIN_EXPONENT) << SUB_BITS
"""The remaining bits of `MIN` as a float64: subtracting them numbers the bins from 0."""


def bins_of(values: Int64s) -> Int64s:
    """The bin of every value; shape (n,), dtype int64, each in [0, BINS).

    >>> bins_of(np.array([0, 1023, 1024, 1151, 1152, 2048, 1 << 40])).tolist()
    [0, 0, 0, 0, 0, 4, 79]
    """
    bits = values.astype(np.float64).view(np.int64)
    return np.asarray(np.clip((bits >> SHIFT) - OFFSET, 0, BINS - 1))


def _middles() -> Float64s:
    parts = 1 << SUB_BITS
    octaves = np.arange(BINS) // parts
    width = np.exp2(octaves) * (MIN / parts)
    return np.asarray((parts + np.arange(BINS) % parts + 0.5) * width, np.float64)


MIDDLES: Final = _middles()
"""The value that stands for a bin: its middle, µs."""


_ROWS: Final = 512
"""Number of sketches that are processed at a time, so that their sums stay in the processor's
cache. No result depends on it.
"""


def quantiles(bins: npt.NDArray[np.uint32], shares: tuple[float, ...]) -> Float64s:
    """Quantiles of sketches; `bins` has shape (n, BINS), the answer (n, len(shares)), µs; NaN for
    an empty sketch.

    The quantile q of n values is the one at rank ceil(q·n), within `RELATIVE_ERROR`.

    >>> one = np.zeros((1, BINS), np.uint32); one[0, bins_of(np.array([5000]))] = 9
    >>> bool(abs(quantiles(one, (0.5,))[0, 0] - 5000) <= RELATIVE_ERROR * 5000)
    True
    """
    found = np.empty((len(bins), len(shares)), np.float64)
    for start in range(0, len(bins), _ROWS):
        summed = np.cumsum(bins[start : start + _ROWS], axis=1, dtype=np.uint32)
        total = summed[:, -1]
        for column, share in enumerate(shares):
            rank = np.maximum(np.ceil(share * total), 1).astype(np.uint32)
            # The first bin at which the running count reaches the rank. An empty sketch has none,
            # so argmax returns 0 for it, and NaN replaces that below.
            found[start : start + _ROWS, column] = MIDDLES[
                np.argmax(summed >= rank[:, None], axis=1)
            ]
        found[start : start + _ROWS][total == 0] = np.nan
    return found
