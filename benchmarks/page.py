"""How long the page takes in a real browser, with 100,000 anomalies stored.

    python -m benchmarks.page [--json] [--anomalies 100000] [--times 20]

An embedded store is filled with anomalies of a day, an incident for every twenty, two messages for
each incident, and buckets of 48 series, three of which have the whole day. API, page and browser
(Debian's Chromium without a screen) share the machine.

A view's time is from the start of the navigation to the frame after it has all that it shows, its
own data and what stands around it, with the files in the browser's cache; the first view's is
without them. A filter's time is from the click to the frame after the list is there. The store
holds two tenants; what is measured is the larger one's.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, BrowserContext, Page

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Document, Kind
from schemas.measures import METRICS
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from streams.admin.topics import EMBEDDED_PARTITIONS
from streams.settings import Broker, Lanes
from tests.harness import browser
from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order, percentile
from tests.harness.store_documents import SECOND, aggregate, anomaly, incident, notification, of
from topology.api.commands import Commands
from topology.api.serving import serving
from topology.api.settings import ApiSettings
from topology.stages.standalone import make_topics
from topology.supervision.embedded import EmbeddedBroker

GOAL_VIEW_MS: Final = 1_000
GOAL_FILTER_MS: Final = 500
GOAL_BYTES: Final = 500_000

_DAY: Final = 86_400 * SECOND
_BATCH: Final = 2_000
_APPLICATIONS: Final = 8
_MODELS: Final = 3

_NOTE_READY: Final = """
new MutationObserver(() => {
    if (!document.body?.dataset.ready || window.readyAt) return;
    requestAnimationFrame(() => (window.readyAt ??= performance.now()));
}).observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"],
});
"""

_READY_AT: Final = """() => new Promise((done) => {
    const look = () =>
        window.readyAt
            ? done([document.body.dataset.ready, window.readyAt])
            : requestAnimationFrame(look);
    look();
})"""

_FILTER: Final = """([selector, value]) => new Promise((done) => {
    const control = document.querySelector(selector);
    const from = performance.now();
    new MutationObserver((_, watching) => {
        if (!document.body.dataset.ready) return;
        watching.disconnect();
        requestAnimationFrame(() => done(performance.now() - from));
    }).observe(document.body, { attributes: true, attributeFilter: ["data-ready"] });
    if (value === null) control.click();
    else {
        control.value = value;
        control.dispatchEvent(new Event("change", { bubbles: true }));
    }
})"""

FILTERS: Final = (
    *((f'.chip[data-severity="{severity}"]', None) for severity in ("critical", "high", "medium")),
    ('select[aria-label="State"]', "all"),
    ('input[aria-label="Application"]', "application-3"),
    ('select[aria-label="State"]', "resolved"),
    *((f'.chip[data-severity="{severity}"]', None) for severity in ("high", "medium", "critical")),
    ('input[aria-label="Application"]', ""),
    ('select[aria-label="State"]', "open"),
)
"""Changes of the filter on *now*, in order; after the last it is as it was."""


@dataclass(slots=True)
class Seen:
    """What was measured."""

    first_view_ms: float = 0.0
    views: dict[str, list[float]] = field(default_factory=dict)
    filters: list[float] = field(default_factory=list)
    bytes: int = 0
    axe: list[str] = field(default_factory=list)
    """Violations, each with its view and theme."""


def documents(anomalies: int, end: int) -> Iterator[Document]:
    """A day up to `end`, µs: of tenant `acme`, and a tenth as much of another."""
    chance = random.Random(1)
    for tenant, count in (("acme", anomalies), ("other", anomalies // 10)):
        step = _DAY // max(1, count)
        for number in range(count):
            at = end - _DAY + number * step
            yield of(
                Kind.ANOMALY,
                anomaly(
                    number,
                    tenant,
                    application=f"application-{chance.randrange(_APPLICATIONS)}",
                    model=f"model-{chance.randrange(_MODELS)}",
                    metric=chance.choice(METRICS),
                    severity=chance.choice(list(Severity)),
                    window_start=at - 10 * SECOND,
                    window_end=at,
                    event_time=at,
                ),
            )
            if number % 20 == 0:
                yield from _told(number, tenant, at, chance)
        for application in range(_APPLICATIONS):
            for model in range(_MODELS):
                yield from _series(tenant, f"application-{application}", f"model-{model}", end)


def _told(number: int, tenant: str, at: int, chance: random.Random) -> Iterator[Document]:
    # One in twenty is still open: more than anybody has, and so the list has pages.
    is_open = number % 400 == 0
    made = incident(
        number,
        2,
        tenant,
        application=f"application-{chance.randrange(_APPLICATIONS)}",
        state=IncidentState.OPEN if is_open else IncidentState.RESOLVED,
        severity=chance.choice(list(Severity)),
        title=f"latency of application/model {chance.uniform(1.5, 9):.1f}x expected",
        opened_at=at,
        updated_at=at + 300 * SECOND,
        resolved_at=None if is_open else at + 300 * SECOND,
        anomaly_count=20,
        anomaly_ids=tuple(f"{each:032x}" for each in range(number, number + 20)),
    )
    yield of(Kind.INCIDENT, made)
    for each in range(2):
        moment = at + (each + 1) * SECOND
        yield of(
            Kind.NOTIFICATION,
            notification(number * 2 + each, tenant, incident_id=made.id, at=moment),
        )


def _series(tenant: str, application: str, model: str, end: int) -> Iterator[Document]:
    bucket = 10 * SECOND
    # Three series of a whole day, an hour of the others.
    for number in range(
        _DAY // bucket if (tenant, application) == ("acme", "application-1") else 360
    ):
        begin = end - (number + 1) * bucket
        begin -= begin % bucket
        yield of(
            Kind.AGGREGATE,
            aggregate(
                number,
                tenant,
                model,
                application=application,
                window_start=begin,
                window_end=begin + bucket,
            ),
        )


async def run(anomalies: int, times: int, screen: Screen) -> Seen:
    """Fill, serve, look. Raises BenchmarkFailed."""
    if why := browser.missing():
        raise BenchmarkFailed(why)
    async with _served(anomalies, screen) as (address, views), browser.launched() as chromium:
        seen = Seen()
        await _look_first(chromium, address, seen)
        context = await _context(chromium, address, "light")
        page = await context.new_page()
        for name, path in views.items():
            await _timed(page, path)
            seen.views[name] = [await _timed(page, path) for _ in range(times)]
            screen.note(f"{name}: {percentile(seen.views[name], 0.5):.0f} ms (p50)")
        await _timed(page, views["now"])
        for _ in range(max(1, times // 4)):
            seen.filters += [
                float(await page.evaluate(_FILTER, list(change))) for change in FILTERS
            ]
        screen.note(f"filters: {percentile(seen.filters, 0.5):.0f} ms (p50)")
        for scheme in ("light", "dark"):
            looked = await (await _context(chromium, address, scheme)).new_page()
            for name, path in views.items():
                await _timed(looked, path)
                seen.axe += [
                    f"{name}, {scheme}: {one['rule']}" for one in await browser.violations(looked)
                ]
        return seen


@asynccontextmanager
async def _served(anomalies: int, screen: Screen) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
    end = time.time_ns() // 1000 - 10 * SECOND
    with (
        EmbeddedBroker() as embedded,
        tempfile.TemporaryDirectory(prefix="sentinel-page-") as folder,
    ):
        broker = Broker(bootstrap_servers=embedded.address, embedded=True)
        make_topics(broker, Lanes(partitions=EMBEDDED_PARTITIONS))
        store = EmbeddedStore(str(Path(folder) / "store.db"), 5.0)
        await store.start()
        try:
            stored = 0
            batch: list[Document] = []
            for one in documents(anomalies, end):
                batch.append(one)
                if len(batch) == _BATCH:
                    stored += len(batch)
                    await store.write(batch)
                    batch.clear()
            await store.write(batch)
            screen.note(
                f"{stored + len(batch):,} documents are stored, {anomalies:,} of them anomalies"
            )
            some = anomalies // 2 // 20 * 20
            views = {
                "now": "/?tenant=acme",
                "incident": f"/incidents/acme/{some:032x}",
                "anomaly": f"/anomalies/acme/{anomalies - 50:032x}",
                "explore": (
                    "/explore?tenant=acme&application=application-1&model=model-1"
                    "&metric=latency&range=1+h"
                ),
                "explore 24 h": (
                    "/explore?tenant=acme&application=application-1&model=model-1"
                    "&metric=cost&range=24+h"
                ),
                "pipeline": "/pipeline?tenant=acme",
            }
            async with serving(
                store, ApiSettings(port=0), Commands(broker, Secret("benchmark" * 4))
            ) as port:
                yield f"http://127.0.0.1:{port}", views
        finally:
            await store.close()


async def _context(chromium: Browser, address: str, scheme: str) -> BrowserContext:
    context = await chromium.new_context(
        base_url=address,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1280, "height": 800},
    )
    await context.add_init_script(_NOTE_READY)
    return context


async def _look_first(chromium: Browser, address: str, seen: Seen) -> None:
    context = await _context(chromium, address, "light")
    page = await context.new_page()
    scale = browser.Scale(page)
    seen.first_view_ms = await _timed(page, "/")
    await scale.read()
    # The charts' library comes with the first chart.
    await _timed(page, "/explore")
    seen.bytes = sum((await scale.read()).values())
    await context.close()


async def _timed(page: Page, path: str) -> float:
    await page.goto(path, wait_until="commit")
    await browser.ready(page)
    ready, at = await page.evaluate(_READY_AT)
    if ready == "problem":
        raise BenchmarkFailed(f"{path} says: {await page.locator('.trouble').inner_text()}")
    return float(at)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--anomalies", type=int, default=100_000, help="anomalies of the larger tenant (100,000)"
    )
    parser.add_argument("--times", type=int, default=20, help="how often each view is opened (20)")
    options = parser.parse_args(arguments)
    screen, described = Screen(options.json), machine()
    end_in_order()
    try:
        seen = asyncio.run(run(options.anomalies, options.times, screen))
    except BenchmarkFailed as why:
        sys.exit(f"benchmarks.page: {why}")
    screen.results(described, [_sheet(seen, options.anomalies)], _whole(seen, options.anomalies))


def _spread(times: Sequence[float]) -> dict[str, float]:
    return {"p50_ms": round(percentile(times, 0.5), 1), "p95_ms": round(percentile(times, 0.95), 1)}


def _whole(seen: Seen, anomalies: int) -> dict[str, Json]:
    return {
        "views": {name: _spread(times) for name, times in seen.views.items()},
        "filters": _spread(seen.filters),
        "first_view_ms": round(seen.first_view_ms, 1),
        "bytes": seen.bytes,
        "axe_violations": len(seen.axe),
        "axe": seen.axe,
        "anomalies": anomalies,
    }


def _sheet(seen: Seen, anomalies: int) -> Sheet:
    def row(name: str, times: Sequence[float], goal: int) -> tuple[str, ...]:
        values = (percentile(times, share) for share in (0.5, 0.95, 1.0))
        return (name, *(f"{value:,.0f}" for value in values), f"{goal:,}")

    rows = [row(name, times, GOAL_VIEW_MS) for name, times in seen.views.items()]
    rows.append(row("first view, nothing cached", [seen.first_view_ms], GOAL_VIEW_MS))
    rows.append(row("change of a filter", seen.filters, GOAL_FILTER_MS))
    note = (
        f"{seen.bytes:,} bytes of files (goal {GOAL_BYTES:,}); axe-core: {len(seen.axe)} violations"
        f" {'; '.join(seen.axe)}"
    )
    return Sheet(
        f"The page with {anomalies:,} anomalies stored",
        ("view", "p50 ms", "p95 ms", "max ms", "goal ms"),
        rows,
        note,
    )


if __name__ == "__main__":
    main()
