"""The examples in docstrings hold."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "topology.demo.scoring",
        "topology.demo.traces.applications",
        "topology.demo.traces.ordinary",
        "topology.demo.traces.templates",
    ],
)
def test_the_examples_of_a_module_hold(module: str) -> None:
    """What a docstring shows is what happens."""
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert not failed
