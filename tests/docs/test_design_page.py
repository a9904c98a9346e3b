"""docs/design.md says what the code is: its rooms, and the modules on the way of one event."""

import re
from pathlib import Path
from typing import Final

import pytest

from schemas.native.library import NATIVE
from tests.docs.one_event import PACKAGES, follow
from tests.docs.pages import ROOT, text
from tests.harness.webhook_server import answers, receiving
from tests.streams.fakes import Machine, machine

__all__ = ["machine"]

PAGE: Final = "docs/design.md"
BEYOND: Final = {
    "streams.client.connections",
    "streams.client.fetching",
    "streams.faust.app",
    "streams.faust.scheduling",
    "streams.faust.worker",
    "streams.lane.changelog",
    "streams.lane.kafka_state_store",
    "streams.lane.producing",
}
"""Modules of the way that need a broker, or a Faust that has one."""


def modules(part: str) -> list[str]:
    """The modules that a part of the page names in backticks."""
    return re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", part)


def way() -> str:
    """The section about one event, up to its count."""
    return text(PAGE).split("## The way of one event")[1].split("**Fetch.**")[1]


def test_every_module_that_the_page_names_is_there() -> None:
    """A module that moved takes its name on the page along."""
    named = modules(text(PAGE))
    assert named
    assert [name for name in named if not _path(name).exists()] == []


def test_the_page_names_every_room_once_and_no_other() -> None:
    """Rooms are the folders that hold modules, and the harness that tests and benchmarks share."""
    rooms = {
        f"{path.parent.relative_to(ROOT)}/"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    named = re.findall(r"^\| `(\S+/)` \|", text(PAGE), re.MULTILINE)
    assert sorted(named) == sorted(rooms | {"topology/page/", "tests/harness/"})


@pytest.mark.skipif(NATIVE is None, reason="the page tells of the native decoder")
async def test_the_way_of_one_event_is_the_one_on_the_page(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow call, fetched, becomes a webhook; the page names the modules whose code ran, each
    once, and says how many there are.
    """
    async with receiving(answers(200)) as receiver:
        ran = await follow(receiver, machine, tmp_path, monkeypatch)
    named = modules(way().split("That is **")[0])
    passed = {*ran, *BEYOND}
    assert (sorted(passed.difference(named)), sorted(set(named) - passed)) == ([], [])
    assert len(named) == len(passed)
    total, seen, beyond = re.findall(r"\d+", way().split("That is ")[1])[:3]
    assert (int(total), int(seen), int(beyond)) == (len(named), len(ran), len(BEYOND))


def _path(module: str) -> Path:
    return (ROOT / module.replace(".", "/")).with_suffix(".py")
