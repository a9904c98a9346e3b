"""The README's picture is the page as it is: `make picture` takes it."""

import os
from pathlib import Path

from tests.harness.browser import ROOT
from tests.page.conftest import Open, Site, shared

pytestmark = shared

PICTURE = ROOT / "docs" / "images" / "now.png"


async def test_the_picture_of_the_page_is_small_enough_for_a_readme(
    site: Site, opened: Open, tmp_path: Path
) -> None:
    """Under 200 kB; with SENTINEL_PICTURE=1 it becomes the README's."""
    page = await (await opened(site, size=(1120, 920))).show("/")
    await page.locator("canvas").first.wait_for()
    path = PICTURE if os.environ.get("SENTINEL_PICTURE") == "1" else tmp_path / "now.png"
    await page.screenshot(path=path, animations="disabled")
    assert path.stat().st_size < 200_000
    assert PICTURE.exists()
