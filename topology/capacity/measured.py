"""What `sentinel capacity` rests on: every constant with its unit, the command that measured it,
and the machine.

After a new measurement change the numbers here; they are nowhere else.
"""

from bisect import bisect_left
from dataclasses import dataclass
from math import log
from typing import Final

MACHINE: Final = (
    "AMD EPYC, 2 cores, 25 GB, Linux 6.18, Python 3.11, broker and worker on the same machine"
)


@dataclass(frozen=True, slots=True)
class Constant:
    """One measured number."""

    value: float
    unit: str
    command: str
    """What printed it; or, where it is nobody's measurement, whose it is."""
    how: str
    """What exactly was measured."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A number that grows with the subjects of one worker: points measured, and between them a line
    over the logarithm of their number.
    """

    points: tuple[tuple[int, float], ...]
    """Subjects and value, in order of subjects; values never fall."""
    unit: str
    command: str
    how: str

    @property
    def most(self) -> int:
        """Subjects up to which it was measured."""
        return self.points[-1][0]

    def at(self, subjects: float) -> float:
        """The value there; below the first point that of the first. Raises ValueError beyond the
        last.

        >>> Curve(((100, 1.0), (10_000, 3.0)), "µs", "", "").at(1_000)
        2.0
        """
        if subjects > self.most:
            raise ValueError(
                f"{subjects:,.0f} subjects are more than the {self.most:,} that were measured"
            )
        place = bisect_left(self.points, subjects, key=lambda point: point[0])
        if place == 0 or self.points[place][0] == subjects:
            return self.points[place][1]
        (low, before), (high, after) = self.points[place - 1 : place + 1]
        return before + (after - before) * (log(subjects / low) / log(high / low))


WINDOWS_ONLY: Final = Curve(
    (
        (100, 1e6 / 2_788_841),
        (3_000, 1e6 / 2_382_655),
        (50_000, 1e6 / 805_359),
        (1_000_000, 1e6 / 179_881),
    ),
    "µs of CPU per event",
    "python -m benchmarks.scaling --events 2000000",
    "a backlog whose event time runs at 20,000 a second, 4 partitions, deviation and profile off;"
    " at a million subjects each event is the only one of its subject in a bucket; with the"
    " compiled kernel; other programs took part of the machine",
)

WITH_DETECTORS: Final = Curve(
    ((3_000, 1e6 / 1_491_224), (50_000, 1e6 / 515_750), (1_000_000, 1e6 / 41_578)),
    "µs of CPU per event",
    "python -m benchmarks.scaling --events 2000000",
    "the same with three rules, deviation and profile on, and 20,000 users; at 100 subjects 0.55",
)

SMALL_RECORD: Final = Constant(
    154.0,
    "bytes of a record's value",
    "python -m benchmarks.scaling --only subjects",
    "the records that the numbers above were measured with: ids, numbers, short names, no text",
)

LARGER_RECORD_CPU: Final = Constant(
    1.92,
    "µs of CPU per kB that a record is larger",
    "python -m benchmarks.scaling --events 2000000",
    "2 kB beside 154 bytes; 2.2 at 500 bytes, 1.8 at 8 kB; other programs took part of the machine",
)

USUAL_RECORD: Final = Constant(
    351.0,
    "bytes of a record's value",
    "python -m benchmarks.footprint",
    "mean of the recorded hour, before compression",
)

MEMORY: Final = Curve(
    ((100, 181.0), (3_000, 196.0), (50_000, 382.0), (1_000_000, 1_549.0)),
    "MB of a worker",
    "python -m benchmarks.scaling --events 2000000",
    "the most proportional set size (PSS) seen while a backlog is worked off, with all detectors"
    " and 20,000 users, 4 partitions; 411 MB with 64",
)

WATERMARK_CPU: Final = Constant(
    42.0,
    "µs of CPU per watermark",
    "python -m benchmarks.scaling --events 2000000",
    "64 partitions beside 4: what an event costs more, over the watermarks that are written more;"
    " smaller steps are in it",
)

TWO_WORKERS: Final = Constant(
    1.0,
    "of a lone worker's events per CPU second",
    "python -m benchmarks.scaling --only workers",
    "each of two workers on one machine, beside one; 1.03 was seen, and 0.73 where broker and other"
    " programs had no core left for themselves",
)

STATE_PER_SUBJECT: Final = Constant(
    279.0,
    "bytes of live state per subject",
    "python -m benchmarks.recovery",
    "266 MB of a million subjects with what deviation has learnt, uncompressed",
)

STATE_PER_USER: Final = Constant(
    198.0,
    "bytes of live state per user",
    "python -m benchmarks.throughput",
    "20,000 users with all detectors beside none with windows only, 100 subjects, uncompressed",
)

STATE_ON_DISK: Final = Constant(
    0.27,
    "bytes on disk per byte of state",
    "python -m benchmarks.scaling --only subjects_with_detectors",
    "the state topic's log over its rows at their mean size: 0.27 at 100 subjects, 0.12 at 50,000",
)

RESTORE: Final = Constant(
    12.3e6 / 1e6,
    "µs per subject to restore",
    "python -m benchmarks.recovery",
    "a million subjects with what deviation has learnt: 12.3 s",
)

SINK: Final = Constant(
    9_900.0,
    "documents per second of a sink worker",
    "python -m benchmarks.sink",
    "documents of 2 kB into a real Elasticsearch on the same machine",
)

TELEMETRY_RECORD: Final = Constant(
    224.6,
    "bytes on disk per event",
    "python -m benchmarks.footprint",
    "the recorded hour, lz4, batches of a busy producer",
)
AGGREGATE_RECORD: Final = Constant(
    176.3,
    "bytes on disk per aggregate",
    "python -m benchmarks.footprint",
    "the recorded hour, all detectors",
)
WATERMARK_RECORD: Final = Constant(
    39.0,
    "bytes on disk per watermark",
    "python -m benchmarks.scaling --only partitions:64",
    "the log of anomalies where nothing but watermarks is in it; 20 where a backlog writes many at"
    " once",
)
VERDICT_RECORDS: Final = Constant(
    2_100.0,
    "bytes on disk per anomaly",
    "python -m benchmarks.footprint",
    "the anomaly, at most as large as its document, and its share of incidents and notifications",
)
ANOMALIES_PER_HOUR: Final = Constant(
    48.0,
    "anomalies per hour",
    "python -m benchmarks.footprint",
    "the recorded hour, in which seven faults are",
)

EMBEDDED_EVENT: Final = Constant(
    1_536.8, "bytes per stored event", "python -m benchmarks.footprint", "SQLite with its indexes"
)
EMBEDDED_AGGREGATE: Final = Constant(
    2_190.6,
    "bytes per stored aggregate",
    "python -m benchmarks.footprint",
    "SQLite with its indexes",
)
EMBEDDED_VERDICT: Final = Constant(
    3_498.7,
    "bytes per anomaly",
    "python -m benchmarks.footprint",
    "the anomaly and its share of incidents and notifications, SQLite with its indexes",
)
ELASTIC_EVENT: Final = Constant(
    970.5,
    "bytes per stored event",
    "python -m benchmarks.footprint --store elasticsearch",
    "merged, one copy",
)
ELASTIC_AGGREGATE: Final = Constant(
    1_318.1,
    "bytes per stored aggregate",
    "python -m benchmarks.footprint --store elasticsearch",
    "merged, one copy",
)
ELASTIC_VERDICT: Final = Constant(
    3_433.5,
    "bytes per anomaly",
    "python -m benchmarks.footprint --store elasticsearch",
    "the anomaly and its share of incidents and notifications, merged, one copy",
)

AT_REST: Final = {
    "correlate": Constant(
        86.1, "MB", "python -m benchmarks.memory", "proportional set size at rest"
    ),
    "alert": Constant(86.2, "MB", "python -m benchmarks.memory", "proportional set size at rest"),
    "sink": Constant(91.9, "MB", "python -m benchmarks.memory", "proportional set size at rest"),
    "api": Constant(74.8, "MB", "python -m benchmarks.memory", "proportional set size at rest"),
}
"""Memory of a worker of the other stages, and of the API."""

SEGMENT: Final = Constant(
    2**30,
    "bytes",
    "Kafka's default of segment.bytes",
    "retention takes whole segments: a partition keeps up to one more",
)
SEGMENT_DAYS: Final = Constant(
    7.0, "days", "Kafka's default of segment.ms", "after which a segment that is not full is closed"
)

BUSY: Final = Constant(
    0.5,
    "of a core",
    "our choice",
    "what a worker has to do at most: an hour's outage is caught up within an hour, small steps and"
    " a busy neighbour have room",
)
FREE: Final = Constant(0.2, "of memory and disk", "our choice", "stays free")
MOST_PARTITIONS: Final = Constant(
    64,
    "partitions",
    "python -m benchmarks.scaling --only partitions",
    "the most that were measured",
)

CONSTANTS: Final = {
    name.lower(): value for name, value in globals().items() if isinstance(value, Constant | Curve)
} | {f"at_rest_{stage}": value for stage, value in AT_REST.items()}
"""All of them, by name."""
