"""Records that are not telemetry: ticks, configuration versions, and the signatures that make the latter count."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from schemas.records import SignalChange
from schemas.secrets import Secret
from streams.outgoing import Outgoing

TICK: Final = "sentinel-tick"
"""Header of a tick: a null value, appended to a quiet partition by the worker that owns it."""

PASSED: Final = "sentinel-passed"
"""Header of a tick: µs (ASCII digits) that its worker measured since it took the lane's record before. Older workers give none."""

SETTINGS: Final = "sentinel-settings"
"""Header of a control record: a configuration version takes effect here. The record's value is the version's id."""

WATERMARK: Final = "sentinel-watermark"
"""Header of a lane's watermark on `anomalies`: ASCII `lane offset watermark_us`, the value is null."""

SIGNAL: Final = "sentinel-signal"
"""Header of a record on `anomalies` that says what became of a signal: a framed `SignalChange`; the value is null, the key the tenant."""

SKIP: Final = "sentinel-skip"
"""Header of a record on `settings`: the offset in its key kills the decoder and is never decoded again."""

COMMAND: Final = "sentinel-command"
"""Header of a record on `commands`: what a person asks for. The record's key is the tenant."""

SIGNATURE: Final = "sentinel-signature"
"""Header with the HMAC-SHA256 over what the record says, by a key that only our processes hold."""

Headers = Iterable[tuple[str, bytes | None]]

_MOST_DIGITS: Final = 18
"""Of a number that fits 64 bits."""


def sign(key: Secret, kind: str, *parts: bytes) -> bytes:
    """HMAC over the kind and its length-prefixed parts; hexadecimal."""
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *parts))
    return hmac.new(key.reveal().encode(), message, hashlib.sha256).hexdigest().encode()


def is_signed(key: Secret, headers: Headers, kind: str, *parts: bytes) -> bool:
    """Whether the record carries our signature; a missing key signs nothing."""
    given = header(headers, SIGNATURE)
    return bool(key) and given is not None and hmac.compare_digest(given, sign(key, kind, *parts))


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of that name."""
    return next((value for key, value in headers if key == name), None)


def tick(topic: str, partition: int, passed_us: int) -> Outgoing:
    """A tick for a partition, so long after the lane's record before."""
    return Outgoing(topic, None, None, ((TICK, b"1"), (PASSED, b"%d" % passed_us)), partition)


def passed(headers: Headers) -> int | None:
    """What a tick says has passed, µs; None when it does not say, or nothing that could be meant."""
    said = header(headers, PASSED)
    return int(said) if said is not None and len(said) <= _MOST_DIGITS and said.isdigit() else None


def settings_control(topic: str, partition: int, version: str, key: Secret) -> Outgoing:
    """A control record that lets a version take effect in one lane."""
    value = version.encode()
    signature = sign(key, SETTINGS, topic.encode(), b"%d" % partition, value)
    return Outgoing(topic, None, value, ((SETTINGS, b"1"), (SIGNATURE, signature)), partition)


def watermark(topic: str, partition: int, lane: int, offset: int, watermark_us: int) -> Outgoing:
    """A lane's watermark, for one partition of `anomalies`."""
    return Outgoing(topic, None, None, ((WATERMARK, b"%d %d %d" % (lane, offset, watermark_us)),), partition)


def signal_change(topic: str, change: SignalChange) -> Outgoing:
    """What became of a signal, for the partition of `anomalies` that the tenant's anomalies go to."""
    return Outgoing(topic, change.tenant.encode(), None, ((SIGNAL, change.to_bytes()),))
