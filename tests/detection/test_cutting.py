"""A lane is a pure function of its records in offset order: however they were batched, wherever it
was stopped.
"""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.detectors.settings import Comparison, DetectionSettings, Deviation, Profile, Rule
from schemas.avro.framing import prefix
from schemas.records.aggregates import Aggregate
from schemas.records.telemetry import QualityScore, Status
from streams.control.records import SETTINGS, SIGNATURE, Publication, settings_control, sign, tick
from streams.settings import Lanes
from tests.conftest import disable_native_code
from tests.detection.lanes import KEY, LIMITS, RunLane, run
from tests.harness.examples import examples
from tests.harness.telemetry_log import LANE, TOPIC, Rec, good, raw

SLOW = Rule("slow", "latency_us", Comparison.ABOVE, 2_000_000)
QUEUED = Rule("queued", "queue_time_us", Comparison.AT_LEAST, 500_000, application="shop")
TOXIC = Rule("toxic", "quality.toxicity", Comparison.ABOVE, 0.5)

# Versions that need other columns and other detectors than the one before; detectors that judge
# early.
EARLY = Deviation()
PEOPLE = Profile(least_buckets=5)
VERSIONS = {
    "0": DetectionSettings(rules=(SLOW,), deviation=EARLY, profile=Profile(enabled=False)),
    "a": DetectionSettings(rules=(QUEUED, TOXIC), deviation=EARLY, profile=PEOPLE),
    "b": DetectionSettings(deviation=Deviation(enabled=False), profile=PEOPLE),
}

SMALL = Lanes(partitions=2, subjects_per_tenant=3, users_per_tenant=2, subject_expiry_s=60)
"""Budgets that are spent and subjects that expire within a log of a few minutes."""


def control(offset: int, at_s: float, version: str, number: int | None = None) -> Rec:
    """A signed control record; its number is the offset where no other is given."""
    made = settings_control(
        TOPIC, LANE, Publication(offset if number is None else number, version), KEY
    )
    return raw(offset, at_s, made.value, *made.headers)


def ticked(offset: int, at_s: float) -> Rec:
    """A tick of a worker that had no record since the log began."""
    made = tick(TOPIC, LANE, int(at_s * 1e6))
    return raw(offset, at_s, made.value, *made.headers, key=b"")


GOOD = good(0, 0).value or b""
BAD = (
    None,
    b"",
    b"garbage",
    b"\1\0\0\0\1abc",
    prefix(99) + b"abc",
    GOOD[:-3],
    GOOD + b"\0",
)


def log(seed: int, size: int) -> list[Rec]:
    """A few minutes of a lane's log: good, late and early events, bad records, ticks, control
    records, gaps, silence.

    By a generator of our own, since a log has more choices than Hypothesis makes in reasonable
    time; a shorter log is the begin of a longer one.
    """
    choose = Random(seed)
    records: list[Rec] = []
    offset, now = choose.choice((0, 7, 4_000_000_000)), 0.0
    for _ in range(size):
        offset += choose.choice((1, 1, 1, 1, 2, 5))
        now += choose.choice((0, 0, 0.3, 1.1, 2.9, 2.9, 14.0, 75.0))
        kind = choose.choice("eeeeeeeeeeeblltfvvu")
        if kind in "elf":
            behind = {"e": (0, 0.2, 3.0), "l": (6.0, 30.0), "f": (-20.0, -299.0, -400.0)}[kind]
            records.append(
                good(
                    offset,
                    now - choose.choice(behind),
                    now,
                    tenant=choose.choice(("acme", "other")),
                    application=choose.choice(("shop", "search")),
                    model=choose.choice(("m", "n")),
                    user=choose.choice(("ann", "bob", "eve", None)),
                    status=choose.choice(list(Status)),
                    latency_us=choose.choice((0, 300_000, 2_500_000)),
                    time_to_first_token_us=choose.choice((None, 0, 70_000)),
                    queue_time_us=choose.choice((None, 400_000, 900_000)),
                    quality=choose.choice(
                        ((), (QualityScore("toxicity", 0.9),), (QualityScore("fun", 0.9),))
                    ),
                    prompt_tokens=choose.choice((10, 4000)),
                    cost_nano=choose.choice((0, 10**9)),
                )
            )
        elif kind == "b":
            records.append(raw(offset, now, choose.choice(BAD)))
        elif kind == "t":
            records.append(ticked(offset, now))
        elif kind == "v":
            number = choose.choice((None, None, 0, offset // 2, offset - 1 if offset else 0))
            records.append(control(offset, now, choose.choice(sorted(VERSIONS)), number))
        else:
            records.append(
                raw(offset, now, b"a", (SETTINGS, b"1"), (SIGNATURE, sign(KEY, SETTINGS, b"x")))
            )
    return records


LOGS = st.builds(log, st.integers(0, 2**32), st.integers(1, 70))
CUTS = st.sets(st.integers(0, 70), max_size=25)


def agree(one: RunLane, other: RunLane) -> None:
    """Everything that left the two lanes, and all that they keep, is equal to the byte."""
    assert one.sent == other.sent
    assert one.aggregates == other.aggregates
    assert (one.events, one.late, one.bad) == (other.events, other.late, other.bad)
    assert one.state.rows == other.state.rows


@settings(max_examples=examples(60))
@given(LOGS, CUTS, st.sampled_from((LIMITS, SMALL)))
def test_any_cut_of_the_same_records_gives_the_same(
    records: list[Rec], cuts: set[int], limits: Lanes
) -> None:
    """Verdicts, dead letters, watermarks, aggregates and state rows do not depend on where batches
    were cut.
    """
    agree(run(records, VERSIONS, limits=limits), run(records, VERSIONS, cuts, limits=limits))


@settings(max_examples=examples(60))
@given(
    LOGS,
    CUTS,
    st.sets(st.integers(0, 70), min_size=1, max_size=8),
    st.sampled_from((LIMITS, SMALL)),
)
def test_stopped_anywhere_and_gone_on_with_gives_the_same(
    records: list[Rec], cuts: set[int], restarts: set[int], limits: Lanes
) -> None:
    """A successor that knows only the state topic says and keeps exactly what the old process would
    have.
    """
    stopped = run(records, VERSIONS, cuts | restarts, restarts, limits)
    agree(run(records, VERSIONS, cuts | restarts, limits=limits), stopped)


@settings(max_examples=examples(60))
@given(LOGS, CUTS, st.sampled_from((LIMITS, SMALL)))
def test_a_worker_with_the_native_code_and_one_without_it_give_the_same(
    records: list[Rec], cuts: set[int], limits: Lanes
) -> None:
    """A lane may go from a machine that had a C compiler to one that had none."""
    with_it = run(records, VERSIONS, cuts, limits=limits)
    with pytest.MonkeyPatch.context() as patching:
        disable_native_code(patching)
        agree(with_it, run(records, VERSIONS, limits=limits))


@pytest.mark.parametrize("cuts", [{}, {1}, {2}, {1, 2}])
def test_ticks_and_control_records_take_effect_in_the_order_of_their_offsets(
    cuts: set[int],
) -> None:
    """Between the same two events too: the tick behind the control record closes its bucket under
    the new version.
    """
    lane = run([good(0, 0), control(1, 1, "a"), ticked(2, 20), good(3, 21)], VERSIONS, cuts)
    assert [Aggregate.from_bytes(value).settings_version for _, value in lane.aggregates] == ["a"]


def hour_with_faults() -> list[Rec]:
    """Ten minutes of two series and five users with a latency step, an error burst and a heavy
    user: what closes is judged, and told.
    """
    records = []
    for number in range(2400):
        at = number * 0.25
        faulty = at > 400
        records.append(
            good(
                number,
                at,
                model=("m", "n")[number % 2],
                user=f"u{number % 5}",
                latency_us=int(1e6 * (1.5 + math.sin(number)) * (6 if faulty else 1)),
                time_to_first_token_us=200_000 + 1000 * (number % 37),
                status=Status.ERROR if faulty and number % 3 else Status.SUCCESS,
                prompt_tokens=500 + number % 91 + (60_000 if faulty and number % 5 == 3 else 0),
                cost_nano=1_000_000 + number % 17,
            )
        )
    return records


@pytest.mark.parametrize("every", [7, 64, 1000])
def test_verdicts_at_close_are_the_same_however_the_hour_was_cut(every: int) -> None:
    """The detectors' own state and findings too, over a fault that they find, in small blocks and
    large, stopped twice.
    """
    versions = {"0": DetectionSettings(deviation=EARLY, profile=PEOPLE)}
    records = hour_with_faults()
    whole = run(records, versions)
    assert {anomaly.detector for anomaly in whole.anomalies} >= {"deviation"}
    cuts = set(range(0, len(records), every))
    agree(
        whole,
        run(
            records,
            versions,
            cuts,
            {cut for cut in sorted(cuts) if 600 < cut < 900 or 1700 < cut < 1800},
        ),
    )


def test_verdicts_at_close_are_the_same_without_the_native_code() -> None:
    """Over the same hour."""
    versions = {"0": DetectionSettings(rules=(SLOW, QUEUED), deviation=EARLY, profile=PEOPLE)}
    whole = run(hour_with_faults(), versions)
    with pytest.MonkeyPatch.context() as patching:
        disable_native_code(patching)
        agree(whole, run(hour_with_faults(), versions))
