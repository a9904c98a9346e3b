"""The detector that docs/detectors.md shows is one: it passes what every detector passes, and does
what its text says.
"""

import ast
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.detectors.contract import AtCloseDetector, Closed
from tests.detectors import test_contract as contract
from tests.detectors.traffic import World, closes
from tests.docs.pages import blocks
from tests.layers.test_purity import _impurities

CODE = next(block.text for block in blocks("docs/detectors.md") if block.language == "python")


def _shown() -> types.ModuleType:
    module = types.ModuleType("shown")
    exec(compile(CODE, "docs/detectors.md", "exec"), vars(module))
    return module


def _detector() -> AtCloseDetector:
    made: AtCloseDetector = _shown().EmptyAnswersDetector()
    return made


def _buckets(
    silent_from: int, silent_to: int, series: int = 12, silent: int = 8
) -> Iterator[Closed]:
    """Forty buckets of busy series; the first `silent` ones get no tokens in a span, and the last
    one never does.
    """
    for number, closed in enumerate(closes(World(rate=2.0), series, 40, 5)):
        tokens = closed.numbers["completion_tokens"].copy()
        if silent_from <= number < silent_to:
            tokens[:silent] = 0
        tokens[-1] = 0
        yield replace(closed, numbers={**closed.numbers, "completion_tokens": tokens})


@pytest.fixture
def case() -> contract.Case:
    """The detector with input on which it speaks."""
    detector = _detector()
    return contract.Case(detector, contract.at_close(detector), list(_buckets(10, 40)))


@pytest.mark.parametrize(
    "promise",
    [
        contract.test_the_input_of_this_suite_makes_the_detector_speak,
        contract.test_a_second_run_says_the_same_to_the_byte,
        contract.test_stopping_anywhere_and_resuming_from_what_was_stored_changes_nothing,
        contract.test_a_detector_keeps_nothing_of_its_own,
        contract.test_memory_is_bounded_by_subjects_not_by_events,
        contract.test_what_is_told_is_finite_and_can_be_computed_again,
        contract.test_findings_come_in_the_order_of_their_subjects_or_events,
        contract.test_what_is_given_is_not_written_to,
        contract.test_a_forgotten_subject_is_a_new_one,
        contract.test_every_table_is_packed_and_little_endian,
    ],
    ids=lambda promise: promise.__name__,
)
def test_the_shown_detector_keeps_the_contract(
    promise: Callable[..., Any], case: contract.Case
) -> None:
    """Each promise of the suite holds for the code as it stands on the page."""
    promise(case=case)


def test_it_tells_of_the_third_empty_bucket_and_of_every_twelfth_after_it(
    case: contract.Case,
) -> None:
    """Empty from bucket 10 on: told at 12, 24 and 36, of each silent series, and never of the one
    that has no answers at all.
    """
    tables = contract.fresh(case.detector)
    told = [
        (number, finding.row)
        for number, step in enumerate(case.steps)
        for finding in case.step(tables, step)
    ]
    assert told == [(number, row) for number in (12, 24, 36) for row in range(8)]


def test_two_empty_buckets_are_nothing_and_failed_calls_say_nothing() -> None:
    """What is shorter than three buckets is not told; a bucket of failures alone neither ends nor
    continues anything.
    """
    detector = _detector()
    tell = contract.at_close(detector)
    tables = contract.fresh(detector)
    assert [finding for step in _buckets(10, 12) for finding in tell(tables, step)] == []
    tables = contract.fresh(detector)
    told = []
    for number, step in enumerate(_buckets(10, 40)):
        errors = step.numbers["requests"] if number == 11 else np.zeros(len(step.rows), np.int64)
        told += [
            number for _ in tell(tables, replace(step, numbers={**step.numbers, "errors": errors}))
        ]
    assert min(told) == 13


def test_it_is_pure() -> None:
    """By the same look at the syntax as the modules in agents/detectors."""
    assert list(_impurities(ast.parse(CODE))) == []
