"""Each view in a real browser: it shows what is stored, to everybody, and says so when there is
nothing.
"""

import pytest
from playwright.async_api import Route, expect

from schemas.documents import Kind
from tests.harness import browser
from tests.harness.store_documents import aggregate, anomaly, incident, notification, of
from tests.page import filled
from tests.page.conftest import Open, Site, shared

pytestmark = shared

EXPLORE = (
    f"/explore?tenant={filled.TENANT}&application=chat-assistant&model=heron-large"
    "&metric=time_to_first_token"
)
VIEWS = {
    "now": "/",
    "incident": filled.OPEN_PATH,
    "anomaly": filled.ANOMALY_PATH,
    "explore": EXPLORE,
    "pipeline": "/pipeline",
}
HOSTILE = "<img src=x onerror=alert(1)><b>\u202e\x07\u200b{{7*7}}</b>"
SHOWN = r"<img src=x onerror=alert(1)><b>\u{202e}\u{7}\u{200b}{{7*7}}</b>"


async def test_now_shows_what_is_open_what_burns_and_what_was_told(
    site: Site, opened: Open
) -> None:
    """The newest incident first, each with its severity in words; applications with the gravest
    first.
    """
    page = await (await opened(site)).show("/")
    first = page.locator(".incidents .line").first
    await expect(first).to_contain_text(
        "time to first token of chat-assistant/heron-large 1.1 s, usual 377 ms"
    )
    await expect(first).to_contain_text("critical")
    await expect(first).to_contain_text("7 anomalies")
    await expect(page.locator(".incidents .line")).to_have_count(4)
    assert await page.locator(".burning li a").all_inner_texts() == [
        "chat-assistant",
        "search-summary",
        "support-bot",
        "document-intake",
    ]
    await expect(page.locator(".messages li")).to_have_count(6)
    second = page.locator(".messages li").nth(1)
    await expect(second).to_contain_text(
        "delivered time to first token of chat-assistant/heron-large 1.1 s, usual 377 ms"
    )
    await expect(second).to_contain_text("on-call · escalated")
    await expect(page.locator("#live")).to_have_text("live")


async def test_an_incident_shows_its_anomalies_its_messages_and_why_each_was_sent(
    site: Site, opened: Open
) -> None:
    """Under the address that messages link to."""
    page = await (await opened(site)).show(filled.OPEN_PATH)
    await expect(page.locator("h1")).to_contain_text("1.1 s, usual 377 ms; also latency")
    await expect(
        page.get_by_role("region")
        .or_(page.locator("section"))
        .filter(has_text="Anomalies")
        .locator(".line")
        .first
    ).to_be_visible()
    await expect(page.locator("figcaption")).to_contain_text(
        "time to first token of chat-assistant/heron-large"
    )
    line = page.locator(".timeline")
    for what in (
        "Opened",
        "on-call delivered escalated",
        "team-chat failed server fault",
        "suppressed updated",
    ):
        await expect(line).to_contain_text(what)
    await expect(page.locator("canvas")).to_have_count(1)
    await expect(page.get_by_role("button", name="Acknowledge…")).to_be_visible()


async def test_an_anomaly_shows_its_series_its_evidence_and_why(site: Site, opened: Open) -> None:
    """Numbers with units; the chart's numbers are a table too, with the window marked."""
    page = await (await opened(site)).show(filled.ANOMALY_PATH)
    await expect(page.locator("h1")).to_have_text(
        "time to first token of chat-assistant/heron-large"
    )
    await expect(page.locator(".marks")).to_contain_text("1.22 s, 420 ms expected")
    await expect(page.locator("canvas")).to_have_count(1)
    await expect(page.get_by_text("2.91 times what was expected")).to_be_visible()
    await expect(page.get_by_text("lane 0, offset 81100, ordinal 0")).to_be_visible()
    await page.get_by_text("How it was computed").click()
    await expect(page.get_by_role("row", name="exposure")).to_contain_text("successful calls")
    await page.get_by_text("The numbers as a table").click()
    await expect(page.locator("tr.marked")).to_have_count(1)
    await expect(page.locator("tr.marked")).to_contain_text("anomaly")


async def test_any_metric_of_any_subject_can_be_looked_at(site: Site, opened: Open) -> None:
    """By choosing it; the address says what is shown, so that it can be sent to somebody."""
    page = await (await opened(site)).show("/explore")
    await page.get_by_label("Application").select_option("code-completion")
    await page.get_by_label("Metric").select_option("error_rate")
    await expect(page.locator("figcaption")).to_contain_text(
        "error rate of code-completion/kestrel-code"
    )
    await expect(page.locator(".line")).to_have_count(4)
    await page.get_by_role("button", name="15 min").click()
    await expect(page.get_by_text("No anomaly of this metric in this range.")).to_be_visible()
    assert "range=15+min" in page.url
    await page.go_back()
    await expect(page.locator(".line")).to_have_count(4)
    end = await page.locator(".explore .pager time").last.inner_text()
    await page.get_by_role("link", name="Earlier").click()
    await expect(page.locator(".explore .pager time").last).not_to_have_text(end)
    await page.get_by_role("link", name="Earlier").click()
    await expect(page.get_by_text("No bucket in this time.")).to_be_visible()


async def test_labels_and_units_are_those_that_the_server_declares(
    site: Site, opened: Open
) -> None:
    """A label and a unit that the server has changed are what the page shows."""
    window = await opened(site)

    async def changed(route: Route) -> None:
        text = await (await route.fetch()).text()
        for old, new in {'"error rate"': '"failing calls"', "% of calls": "% of all"}.items():
            text = text.replace(old, new)
        await route.fulfill(body=text, content_type="text/javascript")

    await window.page.route("**/static/measures.js", changed)
    page = await window.show("/explore?application=code-completion&metric=error_rate")
    await expect(page.locator("figcaption")).to_contain_text("failing calls of code-completion")
    await expect(page.locator("figcaption")).to_contain_text("% of all")


async def test_the_pipeline_shows_each_stage_with_its_lanes(site: Site, opened: Open) -> None:
    """In the order in which data flows; what was bad stands out."""
    page = await (await opened(site)).show("/pipeline")
    assert await page.locator("h2").all_inner_texts() == ["detect", "correlate", "alert", "sink"]
    detect = page.locator("section").filter(has_text="detect")
    await expect(detect).to_contain_text("ready")
    await expect(detect.locator(".worry")).to_contain_text("2")
    await detect.get_by_text("4 lanes, 720 records waiting").click()
    await expect(detect.get_by_role("row", name="detect/3")).to_contain_text("360")
    assert await browser.violations(page) == []
    page = await (await opened(site)).show("/")
    assert await page.locator(".stages b").all_inner_texts() == [
        "detect",
        "correlate",
        "alert",
        "sink",
    ]


async def test_nothing_stored_is_said_in_words(own: Site, opened: Open) -> None:
    """No tenant yet; then, as soon as there is one, by itself: no open incident is known of."""
    window = await opened(own)
    page = await window.show("/")
    await expect(page.get_by_text("Nothing is stored yet.")).to_be_visible()
    assert await browser.violations(page) == []
    await own.store.write([of(Kind.AGGREGATE, aggregate(1))])
    await expect(page.get_by_text("No incident is open, as far as is known.")).to_be_visible()
    await expect(page.get_by_text("No application is affected.")).to_be_visible()
    await expect(page.get_by_text("good news")).to_have_count(0)


async def test_what_is_not_there_is_told_with_what_to_do(site: Site, opened: Open) -> None:
    """The API's own words, and a way on."""
    window = await opened(site)
    page = await window.show(f"/incidents/{filled.TENANT}/{'0' * 32}")
    await expect(page.get_by_role("alert")).to_contain_text(
        f"tenant acme has no incident {'0' * 32}"
    )
    await expect(page.get_by_role("alert")).to_contain_text("retention")
    window.forgive("404")


@pytest.mark.parametrize("view", ["/", "incident", "anomaly", "explore"])
async def test_markup_and_unseen_signs_in_any_text_stay_text(
    own: Site, opened: Open, view: str
) -> None:
    """What turns the direction of text, or is not to be seen, is shown as an escape."""
    texts = {
        "application": HOSTILE,
        "title": HOSTILE,
        "models": (HOSTILE,),
        "users": (HOSTILE,),
        "metrics": (HOSTILE,),
    }
    found = {
        "application": HOSTILE,
        "model": HOSTILE,
        "user": HOSTILE,
        "rule": HOSTILE,
        "reason": HOSTILE,
    }
    shop = aggregate(0, HOSTILE, HOSTILE, application=HOSTILE)
    one = anomaly(
        1, HOSTILE, **found, detector=HOSTILE, sample_event_ids=(HOSTILE,), settings_version=HOSTILE
    )
    told = {
        "receiver": HOSTILE,
        "reason": HOSTILE,
        "detail": HOSTILE,
        "body": HOSTILE,
        "incident_id": f"{1:032x}",
    }
    await own.store.write(
        [
            of(Kind.ANOMALY, one),
            of(Kind.AGGREGATE, shop),
            of(Kind.INCIDENT, incident(1, 1, HOSTILE, **texts)),
            of(Kind.NOTIFICATION, notification(1, HOSTILE, **told)),
        ]
    )
    window = await opened(own)
    page = await window.show("/")
    await page.locator(".line a").first.click()
    await expect(page.locator("h1")).to_have_text(SHOWN)
    if view == "anomaly":
        await page.locator(".lines .line a").first.click()
        await expect(page.locator("blockquote")).to_have_text(SHOWN)
    if view in ("/", "explore"):
        await page.get_by_role(
            "link", name="Explore" if view == "explore" else "Now", exact=True
        ).first.click()
    await browser.ready(page)
    text = await page.locator("body").inner_text()
    assert SHOWN in text
    assert not set(text) & {"\u202e", "\x07", "\u200b"}
    assert await page.locator("main img, main b:text-is('{{7*7}}')").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
async def test_everybody_can_use_it(site: Site, opened: Open, view: str, scheme: str) -> None:
    """axe-core finds nothing, wide and on a phone; nothing is wider than the phone."""
    window = await opened(site, scheme=scheme)
    page = await window.show(VIEWS[view])
    assert await browser.violations(page) == []
    await page.set_viewport_size({"width": browser.PHONE[0], "height": browser.PHONE[1]})
    await expect(page.locator("h1")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await browser.violations(page) == []


async def test_the_page_is_light(site: Site, opened: Open) -> None:
    """At most 500 kB, uncompressed, in all views together."""
    window = await opened(site)
    scale = browser.Scale(window.page)
    for view in VIEWS.values():
        await window.show(view)
        sizes = await scale.read()
    assert any("uPlot" in url for url in sizes)
    assert sum(sizes.values()) <= 500_000, sizes
