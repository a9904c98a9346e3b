"""The project's documentation as web pages under `/docs`, of the version that runs: what alarms
link to.
"""

import html
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PACKAGED: Final = Path(__file__).parent.parent / "page" / "docs"
_CHECKOUT: Final = Path(__file__).parents[2] / "docs"

_PREFIX: Final = "/docs/"

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Sentinel</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/documentation.css">
</head>
<body>
<nav aria-label="Documentation"><a href="/">Sentinel</a>{others}</nav>
<main>
{body}
</main>
</body>
</html>
"""


def documentation() -> Iterator[tuple[str, bytes]]:
    """Path and HTML of every page. Raises OSError when the files cannot be read."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    texts = {file.stem: file.read_text() for file in sorted(folder.glob("*.md"))}
    for name, text in texts.items():
        yield _PREFIX + name, _page(name, text, list(texts)).encode()


def anchor(heading: str) -> str:
    """The fragment that leads to a heading, as GitHub makes it.

    >>> anchor("Exit statuses"), anchor("`sentinel topics`, again")
    ('exit-statuses', 'sentinel-topics-again')
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _page(name: str, text: str, names: list[str]) -> str:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    title = name
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(content.content))
            title = content.content if token.tag == "h1" else title
        _lead(content, names)
    others = "".join(f'<a href="{_PREFIX}{other}">{html.escape(other)}</a>' for other in names)
    body = parser.renderer.render(tokens, parser.options, {})
    return _PAGE.format(title=html.escape(title), others=others, body=body)


def _lead(token: Token, names: list[str]) -> None:
    """Links between the pages lead to their paths here; those into the repository lead nowhere and
    become plain text.
    """
    dropped = False
    for child in token.children or ():
        if child.type == "link_open":
            target, _, fragment = str(child.attrGet("href")).partition("#")
            page = target.removesuffix(".md")
            dropped = not (
                target == "" or "://" in target or (target.endswith(".md") and page in names)
            )
            if dropped:
                child.tag, child.attrs = "span", {}
            elif page in names:
                child.attrSet("href", f"{_PREFIX}{page}" + (f"#{fragment}" if fragment else ""))
        elif child.type == "link_close" and dropped:
            child.tag, dropped = "span", False
        elif child.type == "image":
            child.type, child.content, child.children = "text", child.content, None
