"""Scores of findings: how they are rounded, and how sure they are."""

from typing import Final

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]

_DIGITS: Final = 6
_POWERS: Final = np.array([float(f"1e{power}") for power in range(23)])
"""Powers of ten that a float64 holds exactly."""


def significant(values: Float64s) -> Float64s:
    """Rounded to six significant digits, as every score is before it is compared or stored; NaN and
    infinities stay.

    The same as `float(f"{value:.6g}")` for every value, to the bit.

    >>> significant(np.array([3.14159265, 0.000123456789, 0.0, np.nan])).tolist()
    [3.14159, 0.000123457, 0.0, nan]
    """
    out = values.copy()
    flat = out.reshape(-1)
    rest = np.flatnonzero(np.isfinite(flat) & (flat != 0))
    sizes = np.abs(flat[rest])
    places = _DIGITS - 1 - np.floor(np.log10(sizes)).astype(np.int64)
    plain = (places >= -22) & (places <= 22)
    up, down = _POWERS[np.clip(places, 0, 22)], _POWERS[np.clip(-places, 0, 22)]
    scaled = sizes * up / down
    whole = np.rint(scaled)
    # One of the powers is 1 and the other exact, so `scaled` is off by less than 1e-9, and the
    # quotient back is the double nearest to the decimal. What lies that near to a tie, or where
    # log10 was off by one, is left to the slow way.
    plain &= (
        (np.abs(np.abs(scaled - whole) - 0.5) > 1e-6) & (scaled >= 100_000) & (scaled < 999_999)
    )
    flat[rest[plain]] = np.copysign(whole[plain] / up[plain] * down[plain], flat[rest[plain]])
    for index in rest[~plain].tolist():
        flat[index] = float(f"{flat[index]:.6g}")
    return out


def significant_number(value: float) -> float:
    """One number, as `significant` rounds."""
    return float(f"{value:.6g}")


def confidence(score: float) -> float:
    """Least probability that a value so many standard deviations out is not chance, whatever the
    noise, if it has one mode.

    Vysochanskij and Petunin, Theory of Probability and Mathematical Statistics 21, 1980.

    >>> confidence(5.0)
    0.982222
    """
    return float(significant(np.array([1 - 4 / (9 * max(score, 2.0) ** 2)]))[0])
