"""Values of metrics as people read them. On the wire they are in small units: µs, 1e-9 of a
currency unit, shares of 1.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.measures import Unit, unit_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = -62_135_596_800_000_000
_LATEST: Final = 253_402_300_799_999_999
"""Years 1 to 9999, µs: the range of Python's datetime."""

_LENGTHS: Final = ((60e6, 120e6, "min"), (1e6, 1e6, "s"), (1e3, 1e3, "ms"), (1.0, 0.0, "µs"))
"""Size of each unit in µs, the minimum from which it is used, and its name."""


def quantity(metric: str, value: float, digits: int = 3) -> str:
    """The value of a metric with `digits` significant digits, and with its unit where the metric's
    name implies one.

    >>> quantity("latency", 6_234_290.0), quantity("latency_us", 1500.0)
    ('6.23 s', '1.5 ms')
    >>> quantity("time_to_first_token", 0.0)
    '0 s'
    >>> quantity("cost", 2.5e9), quantity("error_rate", 0.125), quantity("request_rate", 3.2)
    ('2.5 currency units', '12.5 %', '3.2/s')
    >>> quantity("tokens", 12_345.0), quantity("quality.groundedness", 0.25)
    ('12,300', '0.25')
    """
    match unit_of(metric):
        case Unit.DURATION:
            return _length(value, digits)
        case Unit.MONEY:
            return f"{number(value / 1e9, digits)} currency units"
        case Unit.SHARE:
            return f"{number(value * 100, digits)} %"
        case Unit.RATE:
            return f"{number(value, digits)}/s"
        case Unit.TOKENS | None:
            return number(value, digits)


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, without an exponent where people write none.

    >>> number(3.14159), number(12_345.0), number(12_345.0, 6), number(0.0002), number(2.5e12)
    ('3.14', '12,300', '12,345', '0.0002', '2.5e+12')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    # Rounded first: 999.9 with three digits is 1,000, which has more digits before the point.
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1e9 or abs(rounded) < 1e-4:
        return f"{rounded:.{digits}g}"
    return f"{rounded:,.{digits}g}" if abs(rounded) < 10**digits else f"{rounded:,.0f}"


def utc(time: int) -> str:
    """A point in time, µs since 1970, as text: to the second, UTC.

    >>> utc(1_700_000_000_900_000), utc(2**63)
    ('2023-11-14 22:13:20 UTC', '9999-12-31 23:59:59 UTC')
    """
    return f"{moment(time):%Y-%m-%d %H:%M:%S} UTC"


def moment(time: int) -> datetime:
    """A point in time, µs since 1970; one beyond datetime's range is the nearest within it."""
    return _EPOCH + timedelta(microseconds=min(max(time, _EARLIEST), _LATEST))


def _length(us: float, digits: int) -> str:
    if not math.isfinite(us) or us == 0:
        return f"{us:g} s"
    unit, name = next((unit, name) for unit, minimum, name in _LENGTHS if abs(us) >= minimum)
    return f"{number(us / unit, digits)} {name}"
