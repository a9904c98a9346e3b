"""Records that are not telemetry: ticks, configuration versions, and the signatures that make the
latter count.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.records.anomalies import SignalChange
from schemas.secrets import Secret
from streams.lane.outgoing import Outgoing

TICK: Final = "sentinel-tick"
"""Header of a tick: a null value, appended to a quiet partition by the worker that owns it."""

PASSED: Final = "sentinel-passed"
"""Header of a tick: µs (ASCII digits) that its worker measured since it processed the lane's
previous record. Missing in ticks of older workers.
"""

SETTINGS: Final = "sentinel-settings"
"""Header of a control record: a configuration version takes effect here. The record's value is the
version's id.
"""

NUMBER: Final = "sentinel-number"
"""Header of a control record: the number of its publication, ASCII digits. Missing in records of
older programs.
"""

WATERMARK: Final = "sentinel-watermark"
"""Header of a lane's watermark on `anomalies`: ASCII `lane offset watermark_us`; no value."""

SIGNAL: Final = "sentinel-signal"
"""Header of a record on `anomalies` that says what became of a signal: a framed `SignalChange`; the
value is null, the key the tenant.
"""

SKIP: Final = "sentinel-skip"
"""Header of a record on `settings`: the offset in its key kills the decoder and is never decoded
again.
"""

COMMAND: Final = "sentinel-command"
"""Header of a record on `commands`: what a person asks for. The record's key is the tenant."""

SIGNATURE: Final = "sentinel-signature"
"""Header with the HMAC-SHA256 over the content of the record, by a key that only Sentinel's
processes know.
"""

Headers = Iterable[tuple[str, bytes | None]]

_MAX_DIGITS: Final = 18
"""Of a number that fits 64 bits."""


@dataclass(frozen=True, slots=True, order=True)
class Publication:
    """One publication of detection settings; ordered by number, and by version where two have the
    same number.
    """

    number: int = 0
    """Rises from publication to publication; 0 for what an older program published, and before the
    first.
    """
    version: str = "0"

    def supersedes(self, applied: "Publication") -> bool:
        """Whether it takes effect in a lane in which `applied` was the last to do so. A copy of a
        control record does not.

        Publications of older programs have no number, so no order: they take effect only in lanes
        that have had none with a number.

        >>> sixth = Publication(6, "a")
        >>> Publication(7, "b").supersedes(sixth), sixth.supersedes(sixth)
        (True, False)
        >>> old = Publication(0, "b")
        >>> old.supersedes(Publication(0, "a")), old.supersedes(sixth)
        (True, False)
        """
        return self > applied if self.number else not applied.number


class Controlling(Protocol):
    """A control record as either Kafka client returns it."""

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...


def sign(key: Secret, kind: str, *parts: bytes) -> bytes:
    """HMAC over the kind and its length-prefixed parts; hexadecimal."""
    # With its length before each part: otherwise bytes could move between neighbouring parts under
    # the same signature.
    message = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *parts))
    return hmac.new(key.reveal().encode(), message, hashlib.sha256).hexdigest().encode()


def is_signed(key: Secret, headers: Headers, kind: str, *parts: bytes) -> bool:
    """Whether the record has a valid signature. Without a key none is valid."""
    given = header(headers, SIGNATURE)
    return bool(key) and given is not None and hmac.compare_digest(given, sign(key, kind, *parts))


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of that name."""
    return next((value for key, value in headers if key == name), None)


def tick(topic: str, partition: int, passed_us: int) -> Outgoing:
    """A tick for a partition, `passed_us` after the lane's previous record."""
    return Outgoing(topic, None, None, ((TICK, b"1"), (PASSED, b"%d" % passed_us)), partition)


def passed(headers: Headers) -> int | None:
    """The time that a tick reports, µs; None when it reports none, or an impossible one."""
    said = header(headers, PASSED)
    return int(said) if said is not None and len(said) <= _MAX_DIGITS and said.isdigit() else None


def settings_control(topic: str, partition: int, made: Publication, key: Secret) -> Outgoing:
    """A control record that puts a version into effect in one lane. Its signature is valid for this
    lane and this number only.
    """
    value, number = made.version.encode(), b"%d" % made.number
    signature = sign(key, SETTINGS, topic.encode(), b"%d" % partition, value, number)
    return Outgoing(
        topic, None, value, ((SETTINGS, b"1"), (NUMBER, number), (SIGNATURE, signature)), partition
    )


def publication(topic: str, partition: int, key: Secret, record: Controlling) -> Publication | None:
    """The content of a control record of this lane; None when its signature is missing or wrong."""
    value, number = record.value, header(record.headers, NUMBER)
    if value is None:
        return None
    said = (topic.encode(), b"%d" % partition, value, *(() if number is None else (number,)))
    if not is_signed(key, record.headers, SETTINGS, *said):
        return None
    return Publication(0 if number is None else int(number), value.decode())


def watermark(topic: str, partition: int, lane: int, offset: int, watermark_us: int) -> Outgoing:
    """A lane's watermark, for one partition of `anomalies`."""
    return Outgoing(
        topic, None, None, ((WATERMARK, b"%d %d %d" % (lane, offset, watermark_us)),), partition
    )


def signal_change(topic: str, change: SignalChange) -> Outgoing:
    """A change of a signal, for the partition of `anomalies` that has the tenant's anomalies."""
    return Outgoing(topic, change.tenant.encode(), None, ((SIGNAL, change.to_bytes()),))
