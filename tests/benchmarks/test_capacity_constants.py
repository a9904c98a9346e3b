"""What `sentinel capacity` rests on names the benchmark that measured it."""

import re

import pytest

from benchmarks.scaling import AXES
from tests.docs.pages import ROOT
from topology.capacity.measured import CONSTANTS, Constant


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_every_constant_names_what_measured_it(name: str) -> None:
    """A command of this repository, or whose choice it is; and the axes that it names are there."""
    constant = CONSTANTS[name]
    assert constant.unit
    assert constant.how
    for module in re.findall(r"benchmarks\.(\w+)", constant.command):
        assert (ROOT / "benchmarks" / f"{module}.py").exists()
    for only in re.findall(r"--only (\w[\w:]*(?:,\w[\w:]*)*)", constant.command):
        assert {word.partition(":")[0] for word in only.split(",")} <= set(AXES)
    assert "python -m" in constant.command or constant.command.startswith(
        ("our choice", "Kafka's default")
    )
    if isinstance(constant, Constant):
        assert constant.value > 0
