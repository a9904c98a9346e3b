"""What the page says is so: good news only when it can be known, and nothing that is over or
missing looks otherwise.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Page, expect

from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind, StoreUnavailable
from schemas.records.anomalies import Breakdown, Severity
from schemas.records.control import CommandKind
from schemas.records.incidents import IncidentState
from schemas.secrets import Secret
from streams.settings import Broker
from tests.api.workers import Workers, answering
from tests.harness import browser
from tests.harness.store_documents import SECOND, aggregate, anomaly, incident, of
from tests.page.conftest import KEY, OPERATOR, Open, Site, served, shared
from topology.control import commanding

pytestmark = shared

GOOD = "That is good news"
MINUTE = 60 * SECOND


def now() -> int:
    """µs."""
    return time.time_ns() // 1000


@pytest_asyncio.fixture(loop_scope="session")
async def watched(tmp_path: Path, broker: Broker) -> AsyncIterator[tuple[Site, Workers]]:
    """A store that a test may write into, with workers that say what it wants, for operators."""
    store = EmbeddedStore(str(tmp_path / "s.db"), 1.0)
    await store.start()
    traces = "https://traces.example/{trace_id}"
    async with (
        answering() as workers,
        served(store, broker, traces, workers=workers.urls, token=Secret(OPERATOR)) as site,
    ):
        yield site, workers
    await store.close()


async def fresh(site: Site, tenant: str = "acme", begin: int | None = None, **fields: Any) -> None:
    """A bucket, which closed a moment ago unless a time is given."""
    start = begin or now() - 15 * SECOND
    times = {"window_start": start, "window_end": start + 10 * SECOND}
    await site.store.write([of(Kind.AGGREGATE, aggregate(1, tenant, **times, **fields))])


async def shown(opened: Open, site: Site, path: str = "/") -> tuple[Any, Page]:
    """The page in the hands of an operator."""
    window = await opened(site)
    return window, await window.show(f"{path}#token={OPERATOR}")


async def ask_again(page: Page) -> None:
    """As the page itself does every 15 s; answers of the last second are kept."""
    await asyncio.sleep(1.1)
    await page.keyboard.press("r")


async def test_good_news_ends_when_nothing_moves_any_more(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """A frozen broker: every stage ready, no lag, and no lane moves. The last incidents are shown
    meanwhile.
    """
    site, workers = watched
    await fresh(site)
    over = incident(
        1, 2, title="the last one", state=IncidentState.RESOLVED, resolved_at=now() - 5 * MINUTE
    )
    await site.store.write([of(Kind.INCIDENT, over)])
    _, page = await shown(opened, site)
    await expect(page.get_by_text(GOOD)).to_be_visible()
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator(".incidents .line")).to_contain_text("the last one")
    await expect(page.locator(".last-events li")).to_contain_text("last event")
    assert await browser.violations(page) == []
    workers.moved_ago_s = 90.0
    await ask_again(page)
    await expect(page.locator("#live")).to_have_text("not watching")
    await expect(page.get_by_text(GOOD)).to_have_count(0)
    await expect(page.locator(".incidents .empty")).to_contain_text("2 of 2 lanes do not move")
    assert await page.locator(".stages .badge").all_inner_texts() == ["not working"] * 4
    assert await browser.violations(page) == []
    workers.moved_ago_s = 1.0
    await ask_again(page)
    await expect(page.get_by_text(GOOD)).to_be_visible()


async def test_good_news_needs_new_data(watched: tuple[Site, Workers], opened: Open) -> None:
    """Of a source that went silent, and of a recorded hour, everything is old; with records waiting
    it is behind.
    """
    site, workers = watched
    await fresh(site, begin=now() - 20 * MINUTE)
    _, page = await shown(opened, site)
    await expect(page.locator("#live")).to_have_text("no new data for 20 min")
    await expect(page.locator(".incidents .empty")).to_contain_text(
        "The newest data are 20 min old"
    )
    workers.lag = 10
    await ask_again(page)
    await expect(page.locator("#live")).to_have_text("20 min behind")
    await expect(page.get_by_text(GOOD)).to_have_count(0)


async def test_good_news_ends_when_nobody_answers(
    watched: tuple[Site, Workers], opened: Open, monkeypatch: Any
) -> None:
    """The store is away, or the connection that tells of changes is cut."""
    site, _ = watched
    await fresh(site)
    window, page = await shown(opened, site)
    await expect(page.get_by_text(GOOD)).to_be_visible()

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patching:
        patching.setattr(site.store, "search", away)
        await ask_again(page)
        await expect(page.get_by_role("alert")).to_contain_text("the store does not answer")
        await expect(page.get_by_text(GOOD)).to_have_count(0)
        await expect(page.locator("#live")).to_contain_text("no answer, as of")
    window.forgive("503")
    await ask_again(page)
    await expect(page.get_by_text(GOOD)).to_be_visible()
    await page.context.set_offline(True)
    await site.live.close(None)  # type: ignore[arg-type]
    await expect(page.locator("#live")).to_contain_text("reconnecting, as of")
    await expect(page.get_by_text(GOOD)).to_have_count(0)
    window.forgive("ERR_INTERNET_DISCONNECTED")


async def test_a_machine_that_slept_does_not_wake_to_old_good_news(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """Before anything is asked again, what is shown is called as old as it is."""
    site, _ = watched
    await fresh(site)
    window = await opened(site)
    await window.page.clock.install()
    page = await window.show(f"/#token={OPERATOR}")
    await expect(page.get_by_text(GOOD)).to_be_visible()

    # Whatever is asked from now on waits: the network is not up yet.
    await page.route("**/api/**", lambda route: asyncio.sleep(0))
    await page.clock.fast_forward(50_000)
    await expect(page.locator("#live")).to_contain_text("no answer, as of")
    await expect(page.get_by_text(GOOD)).to_have_count(0)


async def test_an_operator_sees_all_tenants_at_once(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """The gravest first, however old, each with its tenant; one tenant can be chosen, and stays
    chosen.
    """
    site, _ = watched
    for tenant in ("acme", "zeta"):
        await fresh(site, tenant)
    old, new = (now() - ago * MINUTE for ago in (50, 1))
    burning = incident(
        1, 1, "zeta", title="zeta burns", severity=Severity.CRITICAL, opened_at=old, updated_at=old
    )
    note = incident(
        2, 1, "acme", title="acme notes", severity=Severity.INFO, opened_at=new, updated_at=new
    )
    await site.store.write([of(Kind.INCIDENT, burning), of(Kind.INCIDENT, note)])
    _, page = await shown(opened, site)
    assert await page.locator("#tenant").input_value() == ""
    lines = page.locator(".incidents .line")
    assert await lines.locator("a").all_inner_texts() == ["zeta burns", "acme notes"]
    await expect(lines.first).to_contain_text("of zeta")
    await expect(lines.first).to_contain_text("for 50 min")
    await expect(page.locator(".burning li").first).to_contain_text("(zeta)")
    assert await browser.violations(page) == []
    await page.locator("#tenant").select_option("acme")
    await expect(lines).to_have_count(1)
    await page.get_by_role("link", name="acme notes").click()
    await page.get_by_role("link", name="Now", exact=True).first.click()
    await expect(lines).to_have_count(1)
    await page.locator("#tenant").select_option("")
    await expect(lines).to_have_count(2)


async def test_who_has_an_incident_is_on_the_list_and_on_it(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """Acknowledged by whom, since when, with what they wrote."""
    site, _ = watched
    await fresh(site)
    mine = incident(5, 1, title="mine", opened_at=now() - MINUTE, updated_at=now() - MINUTE)
    await site.store.write([of(Kind.INCIDENT, mine)])
    told = {"author": "ann (api:acme)", "comment": "rolling back", "now": now()}
    command = commanding.about(CommandKind.ACKNOWLEDGE, "acme", mine.id, **told)  # type: ignore[arg-type]
    await asyncio.to_thread(commanding.publish, site.broker, command, KEY)
    _, page = await shown(opened, site)
    await expect(page.locator(".incidents .line")).to_contain_text(
        "acknowledged by ann (api:acme) just now: rolling back"
    )
    await page.get_by_role("link", name="mine").click()
    await expect(page.locator(".marks")).to_contain_text("acknowledged by ann (api:acme)")


async def test_the_chart_of_a_silence_shows_it(watched: tuple[Site, Workers], opened: Open) -> None:
    """Closed buckets without requests are zeros up to now, the window that was told is marked, and
    nothing burns when it is over.
    """
    site, _ = watched
    start = (now() // MINUTE - 40) * MINUTE
    for bucket in range(120):
        at = start + bucket * 10 * SECOND
        await fresh(site, begin=at, request_rate_observed=1.4, request_rate_expected=1.4)
    await fresh(site, application="other", model="m")
    quiet = start + 20 * MINUTE
    span = {
        "window_start": quiet,
        "window_end": quiet + 60 * SECOND,
        "event_time": quiet + 60 * SECOND,
    }
    found = anomaly(
        1, metric="request_rate", observed=0.0, expected=1.4, severity=Severity.HIGH, **span
    )
    opened_at = {"opened_at": quiet + MINUTE, "updated_at": quiet + MINUTE}
    silent = incident(1, 1, title="no calls", anomaly_ids=(found.id,), **opened_at)
    await site.store.write([of(Kind.ANOMALY, found), of(Kind.INCIDENT, silent)])
    window, page = await shown(opened, site, f"/incidents/acme/{silent.id}")
    await expect(page.locator(".facts")).to_contain_text(re.compile("So far(19|20) min"))
    await expect(page.locator(".tiles")).to_contain_text("nothing at all")
    await page.get_by_text("The numbers as a table").click()
    marked = page.locator("tr.marked")
    await expect(marked).to_have_count(6)
    await expect(marked.first).to_contain_text("0 /s")
    zeros = await page.locator("td:text-is('0 /s')").count()
    assert (now() - quiet) // (10 * SECOND) - 15 <= zeros <= (now() - quiet) // (10 * SECOND)
    page = await window.show("/")
    await expect(page.locator(".burning li")).to_have_count(1)
    done = incident(
        1, 2, state=IncidentState.RESOLVED, resolved_at=now(), anomaly_ids=(found.id,), **opened_at
    )
    await site.store.write([of(Kind.INCIDENT, done)])
    await ask_again(page)
    await expect(page.get_by_text("No application is affected.")).to_be_visible()


async def test_which_errors_stand_on_the_incident_and_on_its_anomaly(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """How the failed calls failed, and the traces of some."""
    site, _ = watched
    await fresh(site)
    known: dict[str, Any] = {
        "breakdown": (
            Breakdown("error_type", "RateLimitError", 41),
            Breakdown("http_status", "429", 41),
        ),
        "sample_trace_ids": ("4bf92f3577b34da6a3ce929d0e0e4736",),
    }
    found = anomaly(1, metric="error_rate", observed=0.4, expected=0.01, **known)
    told = incident(
        1, 1, title="errors", anomaly_ids=(found.id,), no_data_since=now() - 3 * MINUTE, **known
    )
    await site.store.write([of(Kind.ANOMALY, found), of(Kind.INCIDENT, told)])
    window, page = await shown(opened, site)
    await expect(page.locator(".incidents .line")).to_contain_text("no data since")
    for path in (f"/incidents/acme/{told.id}", f"/anomalies/acme/{found.id}"):
        page = await window.show(path)
        errors = page.locator("section").filter(has_text="Which errors")
        await expect(errors).to_contain_text("RateLimitError")
        link = errors.get_by_role("link", name="4bf92f3577b34da6a3ce929d0e0e4736")
        await expect(link).to_have_attribute(
            "href", "https://traces.example/4bf92f3577b34da6a3ce929d0e0e4736"
        )
        assert await browser.violations(page) == []


async def test_a_series_that_is_not_there_is_said_to_be_missing(
    watched: tuple[Site, Workers], opened: Open
) -> None:
    """And no other is shown in its place; choosing one that is there shows it."""
    site, _ = watched
    await fresh(site)
    for query in (
        "application=gone",
        "application=shop&model=gone",
        "application=shop&model=heron&metric=mood",
    ):
        _, page = await shown(opened, site, f"/explore?tenant=acme&{query}")
        await expect(page.locator(".empty").first).to_contain_text("is stored for acme")
        await expect(page.locator("figure")).to_be_hidden()
        assert await browser.violations(page) == []
    await page.get_by_label("Metric").select_option("latency")
    await expect(page.locator("figcaption")).to_contain_text("latency of shop/heron")
