"""What the topics, the state and the receiver have, against the references."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final

from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly, SignalChange
from streams.control.records import SIGNAL, WATERMARK, header
from streams.lane.outgoing import REASON
from streams.state.position import KEY
from tests.harness.exactness.disturbing import Say
from tests.harness.exactness.plan import PARTITIONS, Plan
from tests.harness.exactness.settling import positions
from tests.harness.reference import lane_state
from tests.harness.reference.detecting import Reference, Task, reference_of
from tests.harness.reference.listening import wrong_marks
from tests.harness.reference.reading import Reader
from tests.harness.reference.sums import Subject, without_bands
from tests.harness.reference.tally import Tally, tallied
from tests.harness.reference.undisturbed import Mark, Place, mark_in

_PROCESSES: Final = 2

Bucket = tuple[Subject, int]
"""Subject and the window's start, µs."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Closed buckets of all lanes, and how many events are in them."""

    tallies: list[Tally]
    lost: int
    """Events that the reference counts into a bucket and the run does not."""
    twice: int
    """Events beyond those that the reference counts."""


def references(plan: Plan, say: Say) -> list[Reference]:
    """The references of detect's lanes, each up to where its lane stands. Raises what reading
    raises.
    """
    with Reader(plan.broker) as reader:
        ends = positions(plan, reader, "detect")
        settings = [
            key
            for partition in range(PARTITIONS)
            for key in reader.table(plan.names.settings, partition)
        ]
    condemned = [key for key in settings if key.startswith(b"skip/")]
    key = plan.control_key.reveal()
    tasks = [
        Task(
            plan.broker,
            plan.lanes,
            key,
            plan.versions,
            partition,
            ends[partition],
            plan.seed,
            _skips(condemned, partition),
            plan.prepare,
        )
        for partition in range(PARTITIONS)
    ]
    # Told to the child processes, before they import polars.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    made = []
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn"), _hush) as pool:
        for reference in pool.map(reference_of, tasks):
            made.append(reference)
            say(f"reference of lane {len(made) - 1}: {reference.records:,} records")
    return made


def _skips(condemned: Iterable[bytes], partition: int) -> frozenset[int]:
    """Offsets in the partition; keys are `skip/topic/partition/offset`."""
    places = (key.rsplit(b"/", 2)[1:] for key in condemned)
    return frozenset(int(offset) for lane, offset in places if int(lane) == partition)


def _hush() -> None:
    """Polars says on standard error which records do not decode; here that is known. What is raised
    is told to the parent all the same.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def detect_state(plan: Plan, reader: Reader, partition: int, reference: Reference) -> list[Tally]:
    """A lane's state to the byte, and its open buckets and clock number by number."""
    rows = reader.table(plan.names.state("detect"), partition)
    rows.pop(KEY, None)
    return [
        lane_state.compared(rows, reference.rows),
        lane_state.compared_slowly(rows, reference.slow),
    ]


def buckets(plan: Plan, reader: Reader, references: Sequence[Reference]) -> Buckets:
    """Aggregates against the slow lane's, bands aside, and against the undisturbed lane's, bands
    and all.
    """
    slowly, whole = Tally("buckets, slowly"), Tally("aggregates")
    lost = twice = 0
    for partition, reference in enumerate(references):
        written = list(_aggregates(plan, reader, partition))
        right = {_bucket(aggregate): aggregate for aggregate in reference.slow.closed}
        plain = ((_bucket(each), without_bands(each).to_bytes()) for each, _ in written)
        slowly.add(
            tallied(
                "buckets, slowly",
                {at: each.to_bytes() for at, each in right.items()},
                plain,
                once=True,
            )
        )
        expected = {
            _bucket(Aggregate.from_bytes(value)): value for _, value in reference.outputs.aggregates
        }
        whole.add(
            tallied(
                "aggregates",
                expected,
                ((_bucket(each), value) for each, value in written),
                once=True,
            )
        )
        counted: Counter[Bucket] = Counter()
        for each, _ in written:
            counted[_bucket(each)] += int(each.requests)
        for at in right.keys() | counted.keys():
            more = counted[at] - (int(right[at].requests) if at in right else 0)
            lost, twice = lost + max(-more, 0), twice + max(more, 0)
    return Buckets([slowly, whole], lost, twice)


def anomalies(plan: Plan, reader: Reader, references: Sequence[Reference]) -> list[Tally]:
    """Anomalies and watermarks: by place against the undisturbed lanes, rules against the slow
    lanes, and as a reader sees them.
    """
    found: list[tuple[Place, bytes]] = []
    changed: list[tuple[Place, bytes]] = []
    marks: list[list[Mark]] = []
    read = Tally("anomalies, as read")
    for partition in range(PARTITIONS):
        verdicts: list[Anomaly] = []
        marks.append([])
        for record in reader.stored(plan.names.anomalies, partition):
            mark = header(record.headers, WATERMARK)
            if record.value is not None:
                verdicts.append(Anomaly.from_bytes(record.value))
                found.append((_place(verdicts[-1]), record.value))
            elif mark is not None:
                marks[-1].append(mark_in(mark))
            elif (change := header(record.headers, SIGNAL)) is not None:
                changed.append((_place(SignalChange.from_bytes(change)), change))
        read.add(_as_read(verdicts))
    expected = {
        place: value for each in references for place, value in each.outputs.anomalies.items()
    }
    return [
        tallied("anomalies", expected, found, once=False),
        tallied(
            "ends",
            {at: it for each in references for at, it in each.outputs.changes.items()},
            changed,
            once=False,
        ),
        _ends_by_rules(references, changed),
        _by_rules(references, found),
        read,
        _ids(expected, found),
        _watermarks(references, marks),
    ]


def dead_letters(plan: Plan, reader: Reader, references: Sequence[Reference]) -> Tally:
    """Bad records by lane and offset, each with its reason."""
    expected = {
        (lane, offset): reason
        for lane, each in enumerate(references)
        for offset, reason in each.slow.told.dead.items()
    }
    origin = plan.names.telemetry.encode()

    def found() -> Iterator[tuple[tuple[int, int], str]]:
        for partition in range(PARTITIONS):
            for record in reader.stored(plan.names.dead_letters, partition):
                headers = {name: content or b"" for name, content in record.headers}
                lane, offset = int(headers["sentinel-partition"]), int(headers["sentinel-offset"])
                if headers["sentinel-topic"] == origin:
                    yield (lane, offset), headers[REASON].decode()

    return tallied("dead letters", expected, found(), once=False)


def _aggregates(plan: Plan, reader: Reader, partition: int) -> Iterator[tuple[Aggregate, bytes]]:
    for record in reader.stored(plan.names.aggregates, partition):
        assert record.value is not None
        yield Aggregate.from_bytes(record.value), record.value


def _bucket(aggregate: Aggregate) -> Bucket:
    return (aggregate.tenant, aggregate.application, aggregate.model), aggregate.window_start


def _place(anomaly: Anomaly | SignalChange) -> Place:
    return anomaly.lane, anomaly.offset, anomaly.ordinal


def _as_read(verdicts: Sequence[Anomaly]) -> Tally:
    """Whoever skips what is at or below the highest place of a lane, as readers are told to, must
    still see each anomaly, and once.
    """
    highest: dict[int, tuple[int, int]] = {}
    kept: list[tuple[Place, bytes]] = []
    for verdict in verdicts:
        if (verdict.offset, verdict.ordinal) > highest.get(verdict.lane, (-1, -1)):
            highest[verdict.lane] = (verdict.offset, verdict.ordinal)
            kept.append((_place(verdict), b""))
    return tallied(
        "anomalies, as read", {_place(verdict): b"" for verdict in verdicts}, kept, once=True
    )


def _by_rules(references: Sequence[Reference], found: Iterable[tuple[Place, bytes]]) -> Tally:
    """Verdicts of rules against the slow lanes': all but the ordinal, which counts what other
    detectors said at the same record.
    """
    expected = {
        (each.lane, each.offset, each.rule): each.to_bytes()
        for reference in references
        for each in reference.slow.told.anomalies
    }
    verdicts = (Anomaly.from_bytes(value) for _, value in found)
    actual = (
        ((each.lane, each.offset, each.rule), replace(each, ordinal=0).to_bytes())
        for each in verdicts
        if each.rule is not None
    )
    return tallied("anomalies of rules, slowly", expected, actual, once=False)


def _ends_by_rules(
    references: Sequence[Reference], changed: Iterable[tuple[Place, bytes]]
) -> Tally:
    """Ends of rules against the slow lanes': that a rule is without data they do not know."""
    expected = {
        (lane, *end): b""
        for lane, reference in enumerate(references)
        for end in reference.slow.told.ends
    }
    changes = (SignalChange.from_bytes(value) for _, value in changed)
    actual = (
        (
            (
                each.lane,
                each.offset,
                (each.tenant, each.application, each.model or ""),
                each.rule,
                each.status.value,
            ),
            b"",
        )
        for each in changes
        if each.rule is not None and each.status.is_end
    )
    return tallied("ends of rules, slowly", expected, actual, once=False)


def _ids(expected: dict[Place, bytes], found: Iterable[tuple[Place, bytes]]) -> Tally:
    """An id stands for one verdict: one place."""
    return tallied(
        "anomalies by id",
        {Anomaly.from_bytes(value).id: place for place, value in expected.items()},
        {place: (Anomaly.from_bytes(value).id, place) for place, value in found}.values(),
        once=True,
    )


def _watermarks(references: Sequence[Reference], marks: Sequence[Sequence[Mark]]) -> Tally:
    """Every partition has the watermarks that the undisturbed lanes tell it, which are right by the
    slow lanes'; and they only rise, but where a lane says them again.
    """
    tally = Tally("watermarks")
    for partition, here in enumerate(marks):
        right = {
            mark: b"" for each in references for mark in each.outputs.watermarks.get(partition, {})
        }
        tally.add(tallied("watermarks", right, ((mark, b"") for mark in here), once=False))
        highest: dict[int, int] = {}
        first = dict.fromkeys(here)
        for lane, _, mark in first:
            # Before it says something where nobody listened, a lane says again how far it was.
            if mark < highest.get(lane, -1):
                tally.unequal += 1
                tally.note("falls", (partition, lane, mark))
            highest[lane] = mark
    for each in references:
        for wrong in wrong_marks(each.slow.told.watermarks, each.outputs):
            tally.unequal += 1
            tally.note("the references differ", wrong)
    return tally
