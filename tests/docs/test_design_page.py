"""docs/design.md says what the code is: its rooms, and the modules on the way of one event."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from schemas.native.library import NATIVE
from tests.docs.one_event import PACKAGES
from tests.docs.pages import ROOT, text

PAGE: Final = "docs/design.md"


def modules(part: str) -> list[str]:
    """The modules that a part of the page names in backticks."""
    return re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", part)


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
def test_the_way_of_one_event_is_the_one_on_the_page() -> None:
    """A slow call, fetched, becomes a webhook; the page names the modules whose code ran, each
    once, and says how many there are.
    """
    # In a process of its own: what tests before had cached would not run again.
    here = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", ""]
    done = subprocess.run(
        [*here, f"{Path(__file__).with_name('following_one_event.py')}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def _path(module: str) -> Path:
    return (ROOT / module.replace(".", "/")).with_suffix(".py")
