"""The page in the hands of a person: filters, keys, tokens, what changes while it is open."""

import json
import re
import time
from itertools import pairwise

import pytest
from playwright.async_api import Route, expect

from schemas.documents import Kind
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentState
from tests.harness import browser
from tests.harness.store_documents import aggregate, incident, of
from tests.page import filled
from tests.page.conftest import ACME, OPERATOR, Open, Site, shared
from topology.api.live import Change

pytestmark = shared


async def test_filters_show_what_they_say_and_stand_in_the_address(
    site: Site, opened: Open
) -> None:
    """Severity, state and application; back undoes one."""
    window = await opened(site)
    page = await window.show("/")
    lines = page.locator(".incidents .line")
    await page.get_by_role("button", name="critical").click()
    await expect(lines).to_have_count(1)
    await page.get_by_label("State").select_option("all")
    await expect(lines).to_have_count(2)
    await page.get_by_label("Application").fill("code-completion")
    await page.keyboard.press("Enter")
    await expect(lines).to_have_count(1)
    await expect(lines.first).to_contain_text("resolved")
    address = page.url
    await page.get_by_role("button", name="low", exact=True).click()
    await page.get_by_role("button", name="critical").click()
    await expect(page.get_by_text("No incident matches the filter.")).to_be_visible()
    await window.show(address)
    await expect(lines).to_have_count(1)
    assert await page.get_by_role("button", name="critical").get_attribute("aria-pressed") == "true"


async def test_older_incidents_come_page_by_page(own: Site, opened: Open) -> None:
    """None twice, none left out."""
    await own.store.write(
        [of(Kind.INCIDENT, incident(number, 1, title=f"number {number}")) for number in range(240)]
    )
    page = await (await opened(own)).show("/")
    seen: list[str] = []
    for _ in range(3):
        await browser.ready(page)
        seen += await page.locator(".incidents .line-head a").all_inner_texts()
        if older := await page.get_by_role("link", name="Older").element_handles():
            first = await page.locator(".incidents .line-head a").first.inner_text()
            await older[0].click()
            await expect(page.locator(".incidents .line-head a").first).not_to_have_text(first)
    assert seen == [f"number {number}" for number in range(239, -1, -1)]
    await page.get_by_role("link", name="Newest").click()
    await expect(page.locator(".incidents .line-head a").first).to_have_text("number 239")


async def test_keys_go_everywhere(site: Site, opened: Open) -> None:
    """`g` and a letter for views, `/` for the filter, `?` for the keys; Esc gives focus back."""
    page = await (await opened(site)).show("/")
    for keys, title in (("ge", "Explore"), ("gp", "Pipeline"), ("gn", "Now")):
        for key in keys:
            await page.keyboard.press(key)
        await expect(page.locator("h1")).to_have_text(title)
    await page.keyboard.press("/")
    await expect(page.get_by_label("Application")).to_be_focused()
    await page.keyboard.type("g?n")
    await expect(page.get_by_label("Application")).to_have_value("g?n")
    await page.get_by_role("button", name="Keys").focus()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await browser.violations(page) == []
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("button", name="Keys")).to_be_focused()


async def test_an_incident_is_reached_with_the_tab_key_alone(site: Site, opened: Open) -> None:
    """The skip link comes first and leads past the bar."""
    page = await (await opened(site)).show("/")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    for _ in range(30):
        await page.keyboard.press("Tab")
        if "/incidents/" in (await page.evaluate("document.activeElement.href ?? ''")):
            break
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text("1.1 s, usual 377 ms")


async def test_light_or_dark_is_kept(site: Site, opened: Open) -> None:
    """As chosen, also after loading again."""
    window = await opened(site, scheme="dark")
    page = await window.show("/")
    dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="Theme").click()
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await window.show("/")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == light != dark


async def test_times_are_local_and_utc_beside(own: Site, opened: Open) -> None:
    """The browser stands in Berlin; UTC is the title."""
    await own.store.write([of(Kind.INCIDENT, incident(0, 1))])
    page = await (await opened(own)).show("/")
    shown = page.locator(".incidents time").first
    await expect(shown).to_have_text("28 May 2026, 22:26:40")
    await expect(shown).to_have_attribute("title", "2026-05-28T20:26:40Z")


async def test_without_a_token_the_page_asks_for_one(guarded: Site, opened: Open) -> None:
    """A wrong one is told; the right one is kept for the tab, and is never in an address."""
    window = await opened(guarded)
    await window.page.goto("/")
    dialog = window.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("none was given")
    await dialog.get_by_label("Bearer token").fill("wrong" * 8)
    await window.page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("this token is wrong")
    await dialog.get_by_label("Bearer token").fill(OPERATOR)
    await window.page.keyboard.press("Enter")
    await browser.ready(window.page)
    await expect(window.page.locator(".incidents .line")).to_have_count(4)
    await expect(window.page.locator("#live")).to_have_attribute("data-link", "live")
    assert OPERATOR not in window.page.url
    assert await window.page.evaluate("JSON.stringify(localStorage)") == "{}"
    await window.show("/")
    await expect(window.page.locator(".incidents .line")).to_have_count(4)
    window.forgive("401")


async def test_a_token_in_the_address_is_taken_out_of_it(guarded: Site, opened: Open) -> None:
    """Before anything else could see it."""
    page = await (await opened(guarded)).show(f"/?tenant=acme#token={OPERATOR}")
    assert page.url == f"{guarded.address}/?tenant=acme"
    await expect(page.locator(".incidents .line")).to_have_count(4)


async def test_a_token_that_is_given_to_an_open_page_is_taken(guarded: Site, opened: Open) -> None:
    """As a link from a message that is opened in the same tab does."""
    window = await opened(guarded)
    await window.page.goto("/")
    await expect(window.page.get_by_role("dialog")).to_be_visible()
    await window.page.keyboard.press("Escape")
    await window.page.evaluate(f"location.hash = 'token={OPERATOR}'")
    await expect(window.page.locator(".incidents .line")).to_have_count(4)
    assert OPERATOR not in window.page.url
    window.forgive("401")


async def test_a_token_that_comes_while_one_is_asked_for_is_kept(
    guarded: Site, opened: Open
) -> None:
    """Who then leaves the question has answered it already."""
    window = await opened(guarded)
    await window.page.goto("/")
    await expect(window.page.get_by_role("dialog")).to_be_visible()
    await window.page.evaluate(f"location.hash = 'token={OPERATOR}'")
    await expect(window.page).not_to_have_url(re.compile("token"))
    await window.page.keyboard.press("Escape")
    await expect(window.page.get_by_role("dialog")).to_have_count(0)
    await expect(window.page.locator(".incidents .line")).to_have_count(4)
    assert await window.page.evaluate("sessionStorage.getItem('sentinel.token')") == OPERATOR
    window.forgive("401")


async def test_a_wrong_token_does_not_shut_out_where_none_is_needed(
    site: Site, opened: Open
) -> None:
    """Who gives up on it goes on as before."""
    window = await opened(site)
    await window.page.goto("/#token=mistyped-mistyped")
    await expect(window.page.get_by_role("dialog")).to_be_visible()
    await window.page.keyboard.press("Escape")
    await window.page.get_by_role("button", name="Retry").click()
    await expect(window.page.locator(".incidents .line")).to_have_count(4)
    window.forgive("401")


async def test_a_tenants_token_shows_that_tenant(guarded: Site, opened: Open) -> None:
    """Nothing fails because the stages are for operators only."""
    page = await (await opened(guarded)).show(f"/#token={ACME}")
    await expect(page.locator(".incidents .line")).to_have_count(4)
    await expect(page.locator(".stages")).to_contain_text("an operator's token shows why")
    await expect(page.get_by_role("alert")).to_have_count(0)


async def _told(site: Site, kind: Kind, number: int) -> None:
    site.live.note(Change(kind, "acme", f"{number:032x}", 1))


async def test_what_changes_shows_by_itself(own: Site, opened: Open) -> None:
    """An incident opens, grows graver and is over, while the page is open; focus stays where it
    is.
    """
    await own.store.write([of(Kind.INCIDENT, incident(1, 1, title="the first"))])
    page = await (await opened(own)).show("/")
    await expect(page.locator("#live")).to_have_attribute("data-link", "live")
    await page.get_by_role("link", name="the first").focus()
    await own.store.write(
        [of(Kind.INCIDENT, incident(2, 1, title="the second", severity=Severity.LOW))]
    )
    await _told(own, Kind.INCIDENT, 2)
    second = page.locator(".line").filter(has_text="the second")
    await expect(second).to_contain_text("low")
    await expect(page.get_by_role("link", name="the first")).to_be_focused()
    await own.store.write(
        [of(Kind.INCIDENT, incident(2, 2, title="the second", severity=Severity.CRITICAL))]
    )
    await _told(own, Kind.INCIDENT, 2)
    await expect(second).to_contain_text("critical")
    over = incident(
        2, 3, title="the second", state=IncidentState.RESOLVED, resolved_at=1_780_000_900_000_000
    )
    await own.store.write([of(Kind.INCIDENT, over)])
    await _told(own, Kind.INCIDENT, 2)
    await expect(second).to_have_count(0)


async def test_a_burst_of_changes_is_asked_for_once_a_second(own: Site, opened: Open) -> None:
    """Whatever comes, the page looks no more often; and what came last is shown. The list and what
    burns ask each for itself at a look.
    """
    await own.store.write([of(Kind.INCIDENT, incident(1, 1, title="grows"))])
    page = await (await opened(own)).show("/")
    await expect(page.locator("#live")).to_have_attribute("data-link", "live")
    asked: list[float] = []
    page.on(
        "request",
        lambda request: asked.append(time.monotonic()) if "/v1/incidents" in request.url else None,
    )
    for revision in range(2, 22):
        await own.store.write([of(Kind.INCIDENT, incident(1, revision, title=f"grows {revision}"))])
        await _told(own, Kind.INCIDENT, 1)
        own.live.notify()
    await expect(page.locator(".line-head a")).to_have_text("grows 21")
    await page.wait_for_timeout(3000)
    looks = asked[:1] + [after for before, after in pairwise(asked) if after - before > 0.2]
    gaps = [after - before for before, after in pairwise(looks)]
    assert 1 <= len(looks) <= 6
    assert len(asked) <= 2 * len(looks)
    assert min(gaps, default=1.0) > 0.8


async def test_a_page_that_lost_the_server_says_so_and_comes_back(own: Site, opened: Open) -> None:
    """It names the time of what it shows; when the server is back, it looks at everything again."""
    await own.store.write([of(Kind.INCIDENT, incident(1, 1, title="before"))])
    window = await opened(own)
    page = await window.show("/")
    await expect(page.locator("#live")).to_have_attribute("data-link", "live")
    await page.context.set_offline(True)
    # Offline, a page keeps sockets that are open; it is the server that closes this one.
    await own.live.close(None)  # type: ignore[arg-type]
    await expect(page.locator("#live")).to_contain_text("reconnecting, as of")
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    await expect(page.get_by_role("link", name="before")).to_be_visible()
    await own.store.write([of(Kind.INCIDENT, incident(1, 2, title="after"))])
    await page.context.set_offline(False)
    await expect(page.locator("#live")).to_have_attribute("data-link", "live")
    await expect(page.get_by_role("link", name="after")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_count(0)
    window.forgive("ERR_INTERNET_DISCONNECTED")


async def test_a_page_open_for_long_does_not_grow(own: Site, opened: Open) -> None:
    """Turns through the views leave elements and listeners of a few views, and not of all."""
    await own.store.write(
        [of(Kind.AGGREGATE, aggregate(number)) for number in range(50)]
        + [of(Kind.INCIDENT, incident(1, 1))]
    )
    page = await (await opened(own)).show("/")
    counting = await page.context.new_cdp_session(page)

    async def turn() -> None:
        for key, title in (("e", "Explore"), ("p", "Pipeline"), ("n", "Now")):
            await page.keyboard.press("g")
            await page.keyboard.press(key)
            await expect(page.locator("h1")).to_have_text(title)
            await browser.ready(page)

    async def counted() -> dict[str, int]:
        await counting.send("HeapProfiler.collectGarbage")
        counts: dict[str, int] = await counting.send("Memory.getDOMCounters")
        return counts

    for _ in range(3):
        await turn()
    before = await counted()
    for _ in range(30):
        await turn()
    after = await counted()
    assert after["nodes"] < before["nodes"] + 400
    assert after["jsEventListeners"] < before["jsEventListeners"] + 25


@pytest.mark.parametrize("status", [503, 500])
async def test_what_fails_is_told_and_what_works_is_shown(
    site: Site, opened: Open, status: int
) -> None:
    """Stages that cannot be asked hide no incident."""
    window = await opened(site)
    problem = {
        "type": "about:blank",
        "title": "Trouble",
        "status": status,
        "detail": "the workers are away",
    }

    async def fail(route: Route) -> None:
        await route.fulfill(
            status=status, content_type="application/problem+json", body=json.dumps(problem)
        )

    await window.page.route("**/api/v1/pipeline?*", fail)
    page = await window.show("/")
    await expect(page.locator(".incidents .line")).to_have_count(4)
    await expect(page.get_by_text("the workers are away")).to_be_visible()
    window.forgive(str(status))


async def test_without_the_library_of_charts_the_numbers_are_a_table(
    site: Site, opened: Open
) -> None:
    """And a line says how to get charts."""
    window = await opened(site)
    await window.page.route("**/static/vendor/**", lambda route: route.fulfill(status=404))
    page = await window.show(filled.ANOMALY_PATH)
    await expect(page.get_by_text("Charts need uPlot, which make setup fetches")).to_be_visible()
    await expect(page.locator("tr.marked")).to_have_count(1)
    window.forgive("404")
