"""The browser of the tests: Debian's Chromium, driven by playwright, and axe-core inside it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page, Response, async_playwright

ROOT: Final = Path(__file__).parent.parent.parent
AXE: Final = ROOT / ".servers" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
UPLOT: Final = ROOT / "topology" / "page" / "static" / "vendor" / "uPlot.esm.js"

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
WIDE: Final = (1280, 800)
PHONE: Final = (360, 740)
READY_MS: Final = 20_000
"""Machines are shared; a view that is not there by then never comes."""


def missing() -> str | None:
    """What the machine lacks for these tests; None when it has all."""
    if _program() is None:
        return (
            "no Chromium is on the PATH (SENTINEL_TEST_BROWSER may name it); make servers gets it,"
            " or apt install chromium"
        )
    if not AXE.exists():
        return "axe-core is not there; make servers gets it, with npm"
    if not UPLOT.exists():
        return "the page has no uPlot; make setup gets it, with npm"
    return None


def _program() -> str | None:
    given = os.environ.get("SENTINEL_TEST_BROWSER")
    return given or next((found for name in _NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser that ends with the context."""
    # Chromium refuses its sandbox to root, who is whom containers run as.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_program(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


async def show(page: Page, path: str) -> None:
    """Opens an address, and waits until the view has what it shows."""
    await page.goto(path, wait_until="commit")
    await ready(page)


async def ready(page: Page) -> None:
    """Waits until the view has what it shows."""
    await page.wait_for_selector("body[data-ready]", state="attached", timeout=READY_MS)


class Scale:
    """Weighs what a page fetches from now on besides the API's answers: bytes by address,
    uncompressed.

    To be read before the page is left: afterwards the browser has the bodies no longer.
    """

    def __init__(self, page: Page) -> None:
        self._sizes: dict[str, int] = {}
        self._weighing: list[asyncio.Task[None]] = []
        page.on(
            "response",
            lambda response: self._weighing.append(asyncio.create_task(self._weigh(response))),
        )

    async def read(self) -> dict[str, int]:
        """Everything that came so far."""
        await asyncio.gather(*self._weighing)
        return self._sizes

    async def _weigh(self, response: Response) -> None:
        if "/api/" not in response.url and response.status == 200:
            self._sizes[response.url] = len(await response.body())


async def violations(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds wrong in what is shown, each with its rule and the first elements."""
    # Through the debugger, which the page's policy does not bind.
    await page.evaluate(f"void ({_as_function(AXE.read_text())})()")
    found: list[dict[str, Any]] = await page.evaluate(
        """async () => {
            const found = await axe.run(document, {resultTypes: ["violations"]});
            const shown = (node) => `${node.html.slice(0, 200)} ${node.failureSummary}`;
            return found.violations.map((one) => ({
                rule: one.id,
                what: one.help,
                where: one.nodes.slice(0, 3).map(shown),
            }));
        }"""
    )
    return found


def _as_function(script: str) -> str:
    return f"function () {{ {script}\n }}"
