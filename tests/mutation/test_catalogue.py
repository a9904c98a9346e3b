"""Every protection of the catalogue is where the catalogue says."""

import pytest

from tests.mutation.__main__ import ROOT
from tests.mutation.catalogue import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_it_can_be_taken_away(mutation: Mutation) -> None:
    """Exactly once, and what is left of Python is Python; `python -m tests.mutation` does it, and
    sees the tests go red.
    """
    sound = (ROOT / mutation.file).read_text()
    assert sound.count(mutation.old) == 1
    if mutation.file.endswith(".py"):
        compile(sound.replace(mutation.old, mutation.new), mutation.file, "exec")
    assert all((ROOT / name).exists() for name in mutation.tests if name.startswith("tests/"))
