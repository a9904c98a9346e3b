"""Bounds of the values of records."""

from typing import Final

MIN_EVENT_TIME: Final = 946_684_800_000_000
"""2000-01-01 UTC, µs: an earlier event time is a clock that was never set, or another unit."""

MAX_EVENT_TIME: Final = 4_102_444_800_000_000
"""2100-01-01 UTC, µs: a later event time is another unit."""

MAX_DURATION_US: Final = 7 * 86_400 * 1_000_000
"""7 days, µs: the longest latency of any kind; 10 million of them still sum within 63 bits."""

LATEST: Final = MAX_EVENT_TIME + MAX_DURATION_US
"""Latest time in Sentinel's own records, µs: a bucket ends later than the events in it. The
earliest is 1970, the time of a lane that has not seen an event.
"""

MAX_TOKENS: Final = 1_000_000_000
"""Maximum number of tokens of a call: a thousand times what models accept."""

MAX_COST_NANO: Final = 10_000_000_000_000
"""The highest cost of a call, 1e-9 of a currency unit: ten thousand units; 900,000 of them still
sum within 63 bits.
"""

MAX_RETRIES: Final = 1_000_000
"""Maximum number of attempts before a call."""

MAX_ID_BYTES: Final = 256
"""The longest tenant, application, model, user or event id, bytes of UTF-8."""
