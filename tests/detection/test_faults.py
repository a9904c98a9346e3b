"""Whose records are refused or late is told at the record where it is sure, once, and ended;
wherever blocks are cut.
"""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.detection.intake import faults as module
from agents.detection.intake.faults import CROWD, Fault, Faults
from agents.detection.intake.faulty import NO_TIME, OTHER, FaultyRecords
from agents.detection.policy import TenantPolicy
from schemas.records.anomalies import SignalStatus
from schemas.telemetry.events import FrameEvents

pytestmark = pytest.mark.usefixtures("with_and_without_native_code")

LEAST = 20
NAMES = {"g": ("one", "shop"), "o": ("one", "bot"), "t": ("two", "shop")}
"""Upper case is faulty."""
KINDS = st.lists(st.tuples(st.sampled_from("gGoOtT"), st.integers(1, 30)), max_size=40)


def take(
    faults: Faults, kinds: str, first: int, names: dict[str, tuple[str, str]] = NAMES
) -> list[Fault]:
    """A block of these records, from this offset on."""
    wrong = FaultyRecords()
    right = []
    for index, kind in enumerate(kinds, first):
        if kind.isupper():
            wrong.add(
                index,
                names[kind.lower()],
                f"fault {index % 3}",
                1_000 * index,
                NO_TIME if index % 2 else 900,
            )
        else:
            right.append((index, names[kind]))
    frame = pl.DataFrame(
        {
            "tenant": pl.Series([name[0] for _, name in right], dtype=pl.String),
            "application": pl.Series([name[1] for _, name in right], dtype=pl.String),
        }
    )
    return faults.judge(
        wrong.all(), np.array([offset for offset, _ in right], np.int64), FrameEvents(frame)
    )


def told(found: list[Fault]) -> list[tuple[int, str, str, bool]]:
    """Where, whose, and whether it begins."""
    return [(fault.offset, fault.tenant, fault.application, fault.begins) for fault in found]


@given(KINDS, st.lists(st.integers(0, 1200)), st.sampled_from((64, 1 << 16)), st.booleans())
def test_where_blocks_are_cut_changes_nothing(
    runs: list[tuple[str, int]], cuts: list[int], sweep: int, closing: bool
) -> None:
    """Verdicts with all that they say, and state, are those of the records in order; a restart
    between blocks changes nothing either.
    """
    kinds = "".join(kind * count for kind, count in runs)
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(module, "SWEEP_OFFSETS", sweep)
        patching.setattr(module, "MAX_LEVELS", 2)
        patching.setattr(module, "_STRETCH", 7)
        whole, pieces = Faults(LEAST, seed=7), Faults(LEAST, seed=7)
        # Buckets close at these records.
        closes = set(range(0, len(kinds), 25)) if closing else set()
        found = []
        for start, end in pairwise(
            sorted({0, len(kinds), *closes, *(cut for cut in cuts if cut < len(kinds))})
        ):
            if start in closes:
                found += list(pieces.passed(start // 25, start, lambda _: TenantPolicy(2, 5)))
            found += take(pieces, kinds[start:end], start)
            again = Faults(LEAST, seed=7)
            again.restore(pieces.state())  # type: ignore[arg-type]
            pieces = again
        expected = []
        for start, end in pairwise(sorted({0, len(kinds), *closes})):
            if start in closes:
                expected += list(whole.passed(start // 25, start, lambda _: TenantPolicy(2, 5)))
            expected += take(whole, kinds[start:end], start)
        assert expected == found
        assert whole.state() == pieces.state()


def test_a_tenant_that_sends_only_bad_records_is_told_at_the_twentieth_and_not_again() -> None:
    """However little it sends, and however much its neighbour does; nine hundred more are the same
    fault.
    """
    faults = Faults(LEAST, seed=7)
    found = take(faults, "T" + "".join("gggT" for _ in range(19)) + "T" * 900, 0)
    assert told(found) == [(76, "two", "shop", True)]
    assert (found[0].seen.faulty, found[0].seen.total, found[0].seen.offset) == (20, 20, 76)


def test_it_is_over_when_good_records_come() -> None:
    """At as many as it took to be told, and what begins after that is another."""
    faults = Faults(LEAST, seed=7)
    found = take(faults, "T" * 30 + "t" * 30 + "T" * 20, 0)
    assert told(found) == [
        (19, "two", "shop", True),
        (49, "two", "shop", False),
        (79, "two", "shop", True),
    ]


def test_half_of_an_applications_records_are_told_and_one_in_ten_are_not() -> None:
    """Beside applications of the tenant that are well."""
    faults = Faults(LEAST, seed=7)
    assert [fault.application for fault in take(faults, "GGGgggoo" * 200 + "G" * 20, 0)] == ["shop"]
    assert take(Faults(LEAST, seed=7), ("T" + "t" * 9) * 3_000, 0) == []


def test_many_applications_of_one_tenant_share_a_level() -> None:
    """A tenant whose bad records are spread over a hundred applications is told as a whole."""
    names = {chr(97 + number % 26): ("one", f"a{number}") for number in range(26)}
    found = take(Faults(LEAST, seed=7), "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 3, 0, names)
    assert {(fault.tenant, fault.application) for fault in found} == {("one", OTHER)}


def test_names_without_end_cost_bounded_memory_and_are_told_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over when there is room again."""
    monkeypatch.setattr(module, "SWEEP_OFFSETS", 128)
    monkeypatch.setattr(module, "MAX_LEVELS", 4)
    names = {chr(97 + number): (f"t{number}", "app") for number in range(26)}
    faults = Faults(LEAST, seed=7)
    found = take(faults, "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 4, 0, names)
    assert [(fault.tenant, fault.application, fault.begins) for fault in found] == [(*CROWD, True)]
    assert len(faults.state()[1]) <= 5  # type: ignore[index]
    found = take(faults, "abcd" * 100, 104, names)
    assert [(fault.tenant, fault.begins, fault.status) for fault in found] == [
        (CROWD[0], False, SignalStatus.GIVEN_UP)
    ]


def test_what_has_no_records_is_without_data_and_given_up_later_and_then_begins_anew() -> None:
    """Buckets are counted from the last one in which a record came; another application's records
    are no sign of it.
    """
    faults = Faults(LEAST, seed=7)
    take(faults, "T" * 20, 0)
    became = []
    for bucket in range(100, 120):
        became += [
            (bucket, each.status)
            for each in faults.passed(bucket, bucket, lambda _: TenantPolicy(3, 12))
        ]
        take(faults, "gggggggggg", 10 * bucket)
    assert became == [(103, SignalStatus.NO_DATA), (112, SignalStatus.GIVEN_UP)]
    assert told(take(faults, "T" * 20, 2_000)) == [(2_019, "two", "shop", True)]


def test_faulty_records_after_a_time_without_any_are_told_once_and_good_ones_are_not() -> None:
    """Whoever reads it must not go on believing that nothing comes."""
    for before, expected in (("", [True]), ("t" * 19, [True]), ("t" * 20, [])):
        faults = Faults(LEAST, seed=7)
        take(faults, "T" * 20, 0)
        assert [
            each.status
            for bucket in range(9)
            for each in faults.passed(bucket, 30, lambda _: TenantPolicy(3, 12))
        ] == [SignalStatus.NO_DATA]
        found = take(faults, before + "TTT", 40)
        assert [each.begins for each in found if each.again] == expected
        assert len(found) == 1
