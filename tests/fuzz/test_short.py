"""The short form of the fuzzer, with seeds that stay; `python -m tests.fuzz --long` goes on with
others.
"""

from pathlib import Path

import pytest

from schemas.native.library import NATIVE
from tests.conftest import without
from tests.fuzz import both_ways, native
from tests.fuzz.corpus import CORPUS


def test_the_native_code_reads_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    """Under address and undefined-behaviour sanitizers; enough of what it is given is right that it
    gets to all of its code.
    """
    try:
        program = native.compiled(tmp_path)
    except native.NoSanitizers as missing:
        without("A compiler with sanitizers", str(missing))
    ran = native.run(program, 1, 60_000)
    assert ran.good > 10_000
    assert ran.plain > 10_000


@pytest.mark.parametrize("name", CORPUS)
def test_what_once_did_harm_has_a_fate(name: str) -> None:
    """The same by the native code and without it."""
    if NATIVE is None:
        without("The native code", "make setup compiles it where there is a C compiler")
    both_ways.check(CORPUS[name])


def test_random_batches_are_read_alike_by_both_ways() -> None:
    """Headers that lie, records that are mangled, in every codec."""
    if NATIVE is None:
        without("The native code", "make setup compiles it where there is a C compiler")
    assert both_ways.run(1, 300) > 300
