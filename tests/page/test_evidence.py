"""What an incident's page says of it comes from the incident itself; and a chart says when its
series is split over lanes.
"""

import time
from typing import Any

from playwright.async_api import Page, expect

from schemas.documents import Kind
from schemas.records.anomalies import Breakdown, Severity
from tests.harness import browser
from tests.harness.store_documents import SECOND, aggregate, anomaly, incident, of
from tests.page.conftest import Open, Site, shared

pytestmark = shared

MINUTE = 60 * SECOND
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVIDENCE: dict[str, Any] = {
    "evidence_metric": "error_rate",
    "evidence_model": "heron",
    "evidence_observed": 0.41,
    "evidence_expected": 0.01,
    "evidence_score": 14.2,
    "breakdown": (Breakdown("error_type", "RateLimitError", 41),),
    "sample_event_ids": ("evt-1", "evt-2"),
    "sample_trace_ids": (TRACE,),
}


def now() -> int:
    """µs."""
    return time.time_ns() // 1000


async def bucket(site: Site, start: int, *lanes: int, **fields: Any) -> None:
    """One bucket, of which each of these lanes counted a part."""
    times = {"window_start": start, "window_end": start + 10 * SECOND}
    await site.store.write(
        [of(Kind.AGGREGATE, aggregate(1, lane=lane, **times, **fields)) for lane in lanes]
    )


async def _tiles(page: Page) -> list[str]:
    return await page.locator(".tiles dd").all_inner_texts()


async def test_an_incident_shows_its_own_evidence(own: Site, opened: Open) -> None:
    """Where its anomalies are not in the store too, and not that of a more severe one of another
    signal.
    """
    start = now() // SECOND * SECOND - 9 * MINUTE
    await bucket(own, start, 0)
    at: dict[str, Any] = {"opened_at": start, "updated_at": now(), "evidence_since": start - MINUTE}
    told = incident(1, 1, title="errors", **at, **EVIDENCE)
    await own.store.write([of(Kind.INCIDENT, told)])
    window = await opened(own)
    page = await window.show(f"/incidents/acme/{told.id}")
    tiles = await _tiles(page)
    assert tiles[:6] == ["41 %", "error rate", "1 %", "what was expected", "41 times", "score 14.2"]
    assert tiles[7] == "for 10 min"
    errors = page.locator("section").filter(has_text="Which errors")
    await expect(errors).to_contain_text("RateLimitError")
    await expect(errors).to_contain_text(TRACE)
    events = page.locator("section").filter(has_text="Some of the events")
    assert await events.locator("li").all_inner_texts() == ["evt-1", "evt-2"]
    await expect(page.locator("figcaption")).to_contain_text("error rate of shop/heron")
    assert await browser.violations(page) == []
    severe = anomaly(1, metric="latency", severity=Severity.CRITICAL, event_time=now())
    same = {
        "metric": "error_rate",
        "observed": 0.41,
        "expected": 0.01,
        "window_end": start,
        "confidence": 0.97,
    }
    await own.store.write([of(Kind.ANOMALY, severe), of(Kind.ANOMALY, anomaly(2, **same))])
    newer = incident(1, 2, title="errors", anomaly_ids=(severe.id, f"{2:032x}"), **at, **EVIDENCE)
    await own.store.write([of(Kind.INCIDENT, newer)])
    page = await window.show(f"/incidents/acme/{told.id}")
    tiles = await _tiles(page)
    assert (tiles[0], tiles[5]) == ("41 %", "97 % sure")
    await expect(page.locator(".tiles time").first).to_have_attribute("datetime", _utc(start))


async def test_an_incident_without_evidence_shows_that_of_its_anomalies(
    own: Site, opened: Open
) -> None:
    """As records of before have it: the newest of the most severe, with its errors and events."""
    start = now() - 9 * MINUTE
    known = {
        "breakdown": EVIDENCE["breakdown"],
        "sample_trace_ids": (TRACE,),
        "sample_event_ids": ("evt-9",),
    }
    found = anomaly(
        1, metric="error_rate", observed=0.3, expected=0.01, severity=Severity.CRITICAL, **known
    )
    told = incident(
        1, 1, title="errors", anomaly_ids=(found.id,), opened_at=start, updated_at=start
    )
    await own.store.write([of(Kind.ANOMALY, found), of(Kind.INCIDENT, told)])
    page = await (await opened(own)).show(f"/incidents/acme/{told.id}")
    tiles = await _tiles(page)
    assert (tiles[0], tiles[4], tiles[7]) == ("30 %", "30 times", "for 9 min")
    await expect(page.locator("section").filter(has_text="Which errors")).to_contain_text(
        "RateLimitError"
    )
    await expect(page.locator("section").filter(has_text="Some of the events")).to_contain_text(
        "evt-9"
    )


async def test_a_chart_says_that_its_series_is_split_over_lanes(own: Site, opened: Open) -> None:
    """Of how many, what that means and what to do; and nothing of it where one lane has all."""
    start = now() // MINUTE * MINUTE - 5 * MINUTE
    await bucket(own, start, 0)
    await bucket(own, start + 10 * SECOND, 0, 3, 5, request_rate_observed=1.0)
    await bucket(own, start + 20 * SECOND, 0, 3)
    await bucket(own, start, 0, model="whole")
    window = await opened(own)
    address = "/explore?tenant=acme&application=shop&model={}&metric=request_rate"
    page = await window.show(address.format("heron"))
    note = page.locator(".lanes")
    await expect(note).to_contain_text("on 3 lanes")
    await expect(note.get_by_text("murmur2 in every producer")).to_be_hidden()
    await note.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(note.get_by_text("murmur2 in every producer")).to_be_visible()
    assert await browser.violations(page) == []
    await page.set_viewport_size({"width": browser.PHONE[0], "height": browser.PHONE[1]})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = await window.show(address.format("whole"))
    await expect(page.locator("figcaption")).to_contain_text("shop/whole")
    await expect(page.locator(".lanes")).to_have_count(0)


def _utc(us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(us // SECOND))
