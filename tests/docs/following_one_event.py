"""What `test_design_page.py` runs in a process of its own."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.one_event import follow
from tests.docs.pages import text
from tests.docs.test_design_page import PAGE, modules
from tests.harness.webhook_server import answers, receiving
from tests.streams.fakes import Machine, machine

__all__ = ["machine"]

BEYOND: Final = {
    "streams.client.connections",
    "streams.client.fetching",
    "streams.faust.consumer",
    "streams.faust.scheduling",
    "streams.faust.worker",
    "streams.lane.changelog",
    "streams.lane.kafka_state_store",
    "streams.lane.producing",
}
"""Modules of the way that need a broker, or a Faust that has one."""


def way() -> str:
    """The section about one event, up to its count."""
    return text(PAGE).split("## The way of one event")[1].split("**Fetch.**")[1]


async def test_the_modules_whose_code_runs_are_those_on_the_page(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, with their number."""
    async with receiving(answers(200)) as receiver:
        ran = await follow(receiver, machine, tmp_path, monkeypatch)
    named = modules(way().split("That is **")[0])
    passed = {*ran, *BEYOND}
    assert (sorted(passed.difference(named)), sorted(set(named) - passed)) == ([], [])
    assert len(named) == len(passed)
    total, seen, beyond = re.findall(r"\d+", way().split("That is ")[1])[:3]
    assert (int(total), int(seen), int(beyond)) == (len(named), len(ran), len(BEYOND))
