"""docs/settings.md is what the source says."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from topology.settings.reference import Undocumented, field_texts, reference


def test_page_is_current() -> None:
    """A changed default or text without the page made again is found; make it with the command the
    page names.
    """
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m topology.settings.reference > docs/settings.md"


def test_field_without_a_text_is_refused() -> None:
    """A setting that nobody explained does not get into the page unseen."""

    @dataclass
    class Half:
        """Has one text for two fields."""

        told: int = 1
        """What it means."""

        bare: int = 2

    with pytest.raises(Undocumented, match="bare"):
        field_texts(Half)
