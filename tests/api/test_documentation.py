"""The documentation that the API serves: every link of an alarm arrives."""

import re
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.api.test_metering import Start
from topology.api.documentation import documentation

ROOT = Path(__file__).parents[2]
PAGES = {path: body.decode() for path, body in documentation()}
RULES = [
    rule["annotations"]["runbook_url"]
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


class Seen(HTMLParser):
    """Ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes both."""
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        self.links += [given["href"] or ""] if "href" in given else []


@pytest.mark.parametrize("url", RULES)
def test_the_link_of_an_alarm_leads_to_its_section(url: str) -> None:
    """Page and heading are there."""
    path, fragment = url.removeprefix("{{ $externalLabels.sentinel_page }}").split("#")
    assert fragment in Seen(PAGES[path]).ids


@pytest.mark.parametrize("path", PAGES)
def test_links_between_pages_arrive(path: str) -> None:
    """Each leads to a page and a heading that there are, or away; none into the repository, which
    is not served.
    """
    for link in Seen(PAGES[path]).links:
        if link.startswith(("http://", "https://", "/static/")) or link == "/":
            continue
        target, _, fragment = link.partition("#")
        page = PAGES[target or path]
        assert not fragment or fragment in Seen(page).ids, link


def test_every_page_of_the_folder_is_served() -> None:
    """With its title, its tables, and no Markdown left over."""
    assert {path.removeprefix("/docs/") for path in PAGES} == {
        file.stem for file in (ROOT / "docs").glob("*.md")
    }
    operations = PAGES["/docs/operations"]
    assert "<table>" in operations
    assert re.search(r"<title>(.+) - Sentinel</title>", operations)
    assert "](" not in operations


async def test_it_is_served_without_a_token(address: Start) -> None:
    """Whoever is paged may read what an alarm means; it tells of no tenant, and a browser finds its
    style.
    """
    base = await address()
    async with aiohttp.ClientSession() as client, client.get(f"{base}/docs/operations") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        style = re.search(r'rel="stylesheet" href="([^"]+)"', await answer.text())
        assert style
        async with client.get(base + style[1]) as sheet:
            assert (sheet.status, sheet.content_type) == (200, "text/css")
