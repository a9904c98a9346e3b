"""When a receiver asks to be called again: the header Retry-After."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None, now: int) -> float | None:
    """Seconds that a Retry-After header, seconds or a date, asks to wait at `now` (µs).

    None without a header, or for one that cannot be read.

    >>> retry_after_s("120", 0), retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 10_000_000)
    (120.0, 50.0)
    >>> retry_after_s("soon", 0) is None
    True
    >>> retry_after_s("Thu, 01 Jan 1970 00:01:00 +99999999999999", 0) is None
    True
    """
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        # Nine digits are 30 years; more would only cost time to convert.
        return float(value[:9])
    seconds = date_s(value)
    return None if seconds is None else max(0.0, seconds - now / 1e6)


def date_s(date: str) -> float | None:
    """Seconds since 1970 of a header's date; None where it cannot be read."""
    try:
        parsed = parsedate_to_datetime(date)
        # A date without a zone is UTC, as RFC 9110 has all dates.
        return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
