"""The page's files, as they are served: to whom, with which headers."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from topology.api import static


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Asks an app that has the page and nothing else but a header of its own."""

    async def as_the_api_does(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = "default-src 'none'"

    app = web.Application()
    app.on_response_prepare.append(as_the_api_does)
    static.add_page(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
        yield session
    await runner.cleanup()


@pytest.mark.parametrize(
    "path", ["/", "/explore?tenant=acme", "/pipeline", "/incidents/a%2Fb/1", "/anomalies/acme/1"]
)
async def test_every_view_is_the_one_page_under_its_own_policy(
    client: aiohttp.ClientSession, path: str
) -> None:
    """HTML that may run our scripts and nothing else, also where the app has another policy for its
    answers.
    """
    async with client.get(path) as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
        assert answer.headers["Content-Security-Policy"] == static.CONTENT_SECURITY_POLICY
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "<title>Sentinel</title>" in await answer.text()


async def test_what_a_browser_has_already_is_not_sent_again(client: aiohttp.ClientSession) -> None:
    """By ETag; another one is answered whole."""
    async with client.get("/") as answer:
        tag = answer.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["ETag"] == tag
    async with client.get("/", headers={"If-None-Match": '"old"'}) as other:
        assert other.status == 200


async def test_nothing_but_the_files_is_served(client: aiohttp.ClientSession) -> None:
    """No way out of the folder, and nothing that lies beside it."""
    for path in (
        "/static/../page.json",
        "/static/%2e%2e/package.json",
        "/static/",
        "/static/nothing.js",
        "/index.html",
    ):
        async with client.get(path) as answer:
            assert answer.status == 404, path


def test_pages_have_no_script_or_style_in_their_text() -> None:
    """The policy would stop them; nothing of ours makes HTML from text either."""
    for file in Path(static.FILES).glob("*"):
        text = file.read_text() if file.is_file() else ""
        for never in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            "onclick=",
        ):
            assert never not in text, f"{file.name}: {never}"
