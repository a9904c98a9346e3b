"""Logarithms as whole numbers, so that sums of them are exact in any order.

The logarithm of a positive integer comes from the leading bits of its float64 form: the exponent,
and a table by the first ten bits of the mantissa. Every processor computes that alike. It is off by
at most 1/1024 octave, a relative error of 0.07 %.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

PER_OCTAVE: Final = 1024
"""Units in which a logarithm to base 2 is counted."""

_SHIFT: Final = 52 - 10
_BIAS: Final = 1023

MANTISSAS: Final[Int64s] = np.array(
    [round(PER_OCTAVE * float(np.log2(1 + (first + 0.5) / 1024))) for first in range(1024)],
    np.int64,
)
"""Logarithms of mantissas between 1 and 2 by their first ten bits, in the middle of what shares
them.
"""


def logarithms_of(values: Int64s) -> Int64s:
    """Logarithm to base 2 of positive integers, in units of 1/1024; shape as given.

    >>> logarithms_of(np.array([1, 2, 3, 1_000_000])).tolist()
    [1, 1025, 1623, 20410]
    """
    bits = values.astype(np.float64).view(np.int64) >> _SHIFT
    return np.asarray(((bits >> 10) - _BIAS) * PER_OCTAVE + MANTISSAS[bits & 1023])
