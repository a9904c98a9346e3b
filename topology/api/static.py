"""The page's files and the documentation. They say nothing of any tenant, so they are served to
whoever is at the right Host, without a token.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from schemas.measures import MEASURES, label
from topology.api.documentation import documentation
from topology.api.permissions import Access, serve_at

FILES: Final = Path(__file__).parent.parent / "page" / "static"
"""Where they lie; `vendor` below it is what `make setup` fetches from npm."""

VIEWS: Final = (
    "/",
    "/explore",
    "/pipeline",
    "/incidents/{tenant}/{id}",
    "/anomalies/{tenant}/{id}",
)
"""Paths that are answered with the one page, which shows the view that its own address names."""

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_HEADERS: Final = {
    # Asked again each time and answered with 304: another version of Sentinel is another page at
    # once.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_IS_PAGE: Final = web.RequestKey("is_page", bool)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_page(app: web.Application) -> None:
    """Adds the page's paths. The files are read once, now; raises OSError when they cannot be read.

    Call it after the app's other `on_response_prepare` signals: on the page its headers win.
    """
    app.on_response_prepare.append(_add_headers)
    for path, answer in _answers():
        for method in ("HEAD", "GET"):
            serve_at(app, Access.PUBLIC, method, path, answer)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.get(_IS_PAGE, False):
        response.headers.update(_HEADERS)


def _answers() -> Iterator[tuple[str, Answer]]:
    for file in sorted(FILES.rglob("*")):
        if file.suffix in _TYPES and file.is_file():
            answer = _answer(file.read_bytes(), _TYPES[file.suffix])
            if file == FILES / "index.html":
                yield from ((view, answer) for view in VIEWS)
            else:
                yield f"/static/{file.relative_to(FILES).as_posix()}", answer
    yield "/static/measures.js", _answer(_measures(), "text/javascript")
    for path, body in documentation():
        yield path, _answer(body, "text/html")


def _measures() -> bytes:
    """The module of the page that has the declarations of metrics: a script like the others, so
    that the page imports it and every rule for its files holds for it too.
    """
    declared = [
        {
            "name": one.name,
            "label": label(one.name),
            "unit": one.unit,
            "chart_unit": one.chart_unit,
        }
        for one in MEASURES
    ]
    return f"export const MEASURES = {json.dumps(declared)};\n".encode()


def _answer(body: bytes, content_type: str) -> Answer:
    tag = hashlib.sha256(body).hexdigest()[:32]

    async def answer(request: web.Request) -> web.StreamResponse:
        request[_IS_PAGE] = True
        known = request.if_none_match or ()
        if any(each.value in (tag, "*") for each in known):
            response = web.Response(status=304)
        else:
            response = web.Response(body=body, content_type=content_type, charset="utf-8")
        response.etag = tag
        return response

    return answer
