"""What a broker answers with, in the quick form: one retriable and one fatal error for each request; `make faults` has them all."""

from collections import Counter

import pytest

from tests.faults.catalogue import ALONE
from tests.faults.protocol_codes import TABLE, Api, cases

NAMES = ["protocol-errors"]


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_goes_on_or_ends_with_a_reason_and_counts_each_event_once(name: str) -> None:
    """And goes on when it is started again. None hangs, none calls a bug what a broker may well answer."""
    said: list[str] = []
    found = ALONE[name].suffers(long=False, say=said.append)
    assert found.broken == [], "\n".join(said)
    assert found.numbers["recovered"]
    assert found.numbers["ended"]


def test_each_request_has_a_retriable_and_a_fatal_error() -> None:
    """In the quick form; the long one has all of them, each once at each moment."""
    assert Counter(case.api for case in cases(long=False)) == dict.fromkeys(Api, 2)
    every = list(cases(long=True))
    assert len(every) == len(set(every))
    assert {answers.api for answers in TABLE} == set(Api)
