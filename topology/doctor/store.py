"""Checks of the store, and of the page that reads it."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors.store.settings import StoreKind
from topology.doctor.asking import get
from topology.doctor.findings import MAX_CLOCK_OFFSET_S, TIMEOUT_S, Finding, failed, ok, warning
from topology.settings.installation import Settings


def check_store(settings: Settings) -> Iterator[Finding]:
    """The store of the settings, read only."""
    match settings.store.kind:
        case StoreKind.NONE:
            yield warning(
                "store", "none: no page and no lists", "set store.kind to embedded or elasticsearch"
            )
        case StoreKind.EMBEDDED:
            yield from _file(Path(settings.store.path))
        case StoreKind.ELASTICSEARCH:
            yield from (_node(url, settings) for url in settings.store.urls)


def check_page(settings: Settings) -> Finding:
    """Whether the page is served where the settings say."""
    if settings.store.kind is StoreKind.NONE or not settings.api.port:
        return warning(
            "page", "not checked: no store, or api.port is 0", "set store.kind and api.port"
        )
    # A wildcard address cannot be connected to.
    host = "127.0.0.1" if settings.api.host in ("0.0.0.0", "::") else settings.api.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.api.port}"
    status, body, _ = get(f"{address}/live", {}, None)
    if status == 200:
        return ok("page", f"{address} answers")
    return failed(
        "page", f"{address} does not answer: {body}", "sentinel api, or sentinel standalone"
    )


def _file(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        advice = "start the stage sink, which creates it; or set store.path to an absolute path"
        yield warning("store", f"there is no file {path}", advice)
        return
    # The store holds users' and applications' names of all tenants.
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield warning(
            "store", f"{path} can be read by other users ({mode:04o})", f"chmod 600 {path}"
        )
    import sqlite3

    advice = "see docs/operations.md on a damaged store"
    try:
        # Read only: a check must not create or repair anything.
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT_S)
        try:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as fault:
        yield failed("store", f"{path}: {fault}", advice)
        return
    if answer == "ok":
        yield ok("store", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    else:
        yield failed("store", f"{path} is damaged: {answer}", advice)


def _node(url: str, settings: Settings) -> Finding:
    store, headers = settings.store, {}
    if store.api_key:
        headers["Authorization"] = f"ApiKey {store.api_key.reveal()}"
    elif store.username is not None:
        import base64

        pair = f"{store.username}:{store.password.reveal()}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    status, body, date = get(f"{url.rstrip('/')}/_cluster/health", headers, store.tls_ca_file)
    if status != 200:
        return failed(
            "store", f"{url} answers: {body}", "start Elasticsearch, or correct the section store"
        )
    offset_s = 0.0 if date is None else (date - datetime.now(UTC)).total_seconds()
    if abs(offset_s) > MAX_CLOCK_OFFSET_S:
        return warning(
            "clocks", f"the clock of {url} is {offset_s:+.0f} s off", "synchronise it by NTP"
        )
    # Another server may answer on that port, with anything.
    try:
        cluster = str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return failed("store", f"{url} is not Elasticsearch", "correct store.urls")
    if cluster == "red":
        return failed("store", f"{url}: the cluster is red", "see the cluster's health report")
    return ok("store", f"{url}: the cluster is {cluster}")
