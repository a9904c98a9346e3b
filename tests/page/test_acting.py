"""What a person asks for on the page: silences, acknowledgements, closing an incident; and what the
page says came of it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
from confluent_kafka import Producer
from playwright.async_api import Page, expect

from agents.alerting.auditing import Asked, audit
from connectors.store.sqlite.store import EmbeddedStore
from schemas.documents import Kind
from schemas.records.control import AuditOutcome, Command, CommandKind
from schemas.records.incidents import IncidentChange, IncidentState
from schemas.secrets import Secret
from streams.client.brokers import producer_config
from streams.control.command_log import arrived, lane_command
from streams.settings import Broker
from streams.topic_names import TopicNames
from tests.harness import browser
from tests.harness.store_documents import incident, of
from tests.page import filled
from tests.page.conftest import KEY, OPERATOR, Open, Site, Watched, served, shared
from topology.control.reading import whole

pytestmark = shared

ANSWERED_S = 20.0


@pytest_asyncio.fixture(loop_scope="session")
async def writable(tmp_path: Path, broker: Broker) -> AsyncIterator[Site]:
    """An empty store that a test may write into, for operators."""
    store = EmbeddedStore(str(tmp_path / "s.db"), 1.0)
    await store.start()
    async with served(store, broker, token=Secret(OPERATOR)) as site:
        yield site
    await store.close()


async def _signed_in(
    guarded: Site, opened: Open, path: str, scheme: str = "light"
) -> tuple[Watched, Page]:
    window = await opened(guarded, scheme=scheme)
    return window, await window.show(f"{path}#token={OPERATOR}")


def _commands(site: Site) -> list[Any]:
    topic = TopicNames(site.broker.topic_prefix).commands
    return [arrived(topic, KEY, one.partition, one).command for one in whole(site.broker, [topic])]


def _closings(site: Site) -> list[Command]:
    topic = TopicNames(site.broker.topic_prefix).anomalies
    found = [lane_command(topic, KEY, one) for one in whole(site.broker, [topic])]
    return [one for one in found if one is not None]


async def _answered(site: Site, since: int, outcome: AuditOutcome, detail: str = "") -> Command:
    """Waits for a command asked for since then, µs, tells what came of it as its stage does, and
    gives it.
    """
    deadline = time.monotonic() + ANSWERED_S
    while time.monotonic() < deadline:
        known = await asyncio.to_thread(lambda: [*_commands(site), *_closings(site)])
        for number, command in enumerate(known):
            if command is not None and command.at >= since:
                answer = audit(
                    Asked(command, 0, number, is_answered_here=True), outcome, detail, _now()
                )
                producer = Producer(producer_config(site.broker))
                producer.produce(
                    TopicNames(site.broker.topic_prefix).audit,
                    answer.to_bytes(),
                    answer.tenant.encode(),
                )
                assert await asyncio.to_thread(producer.flush, ANSWERED_S) == 0
                return command
        await asyncio.sleep(0.1)
    raise AssertionError("no command came")


def _now() -> int:
    return time.time_ns() // 1000


async def test_an_incident_is_silenced_and_the_silence_ended(guarded: Site, opened: Open) -> None:
    """What was filled in is what `alert` gets; the silence shows on *now*, where it can be
    ended.
    """
    window, page = await _signed_in(guarded, opened, filled.OPEN_PATH)
    await page.get_by_role("button", name="Silence…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("What")).to_have_value(
        "application=chat-assistant\nmodel=heron-large"
    )
    assert await browser.violations(page) == []
    await dialog.get_by_label("What").fill("application=chat-assistant\ncolour=red")
    await dialog.get_by_label("Comment").fill("deploying")
    await dialog.get_by_label("Your name").fill("ann")
    await dialog.get_by_role("button", name="Silence", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("unknown field 'colour'")
    window.forgive("400")
    await dialog.get_by_label("What").fill("application=chat-assistant\n\n severity<=high ")
    await dialog.get_by_role("button", name="Silence", exact=True).click()
    await expect(page.locator("#said")).to_contain_text("Silenced until")
    await expect(page.get_by_role("button", name="Silence…")).to_be_focused()
    command = (await asyncio.to_thread(_commands, guarded))[-1]
    assert (command.kind, command.tenant, command.author, command.comment) == (
        CommandKind.SILENCE,
        "acme",
        "ann (api:operator)",
        "deploying",
    )
    assert command.matchers == ("application=chat-assistant", "severity<=high")
    assert command.ends_at - command.starts_at == 7200 * 1_000_000
    await page.get_by_role("link", name="Now", exact=True).first.click()
    await expect(page.get_by_text("severity<=high")).to_be_visible()
    await page.get_by_role("button", name="End…").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="End it").click()
    await expect(page.get_by_text("severity<=high")).to_have_count(0)
    last = (await asyncio.to_thread(_commands, guarded))[-1]
    assert (last.kind, last.target, last.author) == (
        CommandKind.EXPIRE,
        command.id,
        "ann (api:operator)",
    )


async def test_an_incident_is_acknowledged(guarded: Site, opened: Open) -> None:
    """By name, with a comment; what the page says came of it is what `alert` said."""
    _, page = await _signed_in(guarded, opened, filled.OPEN_PATH)
    await page.get_by_role("button", name="Acknowledge…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Comment").fill("on it")
    await dialog.get_by_label("Your name").fill("bob")
    since = _now()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("Waiting for alert to answer")
    last = await _answered(guarded, since, AuditOutcome.APPLIED)
    await expect(page.locator("#said")).to_have_text("Acknowledged.")
    assert (last.kind, last.author, last.comment) == (
        CommandKind.ACKNOWLEDGE,
        "bob (api:operator)",
        "on it",
    )
    assert filled.OPEN_PATH.endswith(last.target)


async def test_who_may_only_read_is_told_why(site: Site, opened: Open) -> None:
    """Before writing anything, with a way to give a token."""
    page = await (await opened(site)).show(filled.OPEN_PATH)
    await page.get_by_role("button", name="Acknowledge…").click()
    await expect(page.get_by_role("dialog")).to_contain_text("without a token one may only read")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def _closing(page: Page) -> Any:
    """The form, filled in."""
    await page.get_by_role("button", name="Close incident…").focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Close incident")
    await expect(dialog.get_by_label("Comment")).to_be_focused()
    await page.keyboard.type("the customer has left")
    await page.keyboard.press("Tab")
    await page.keyboard.type("ann")
    return dialog


async def test_an_incident_is_closed_after_the_page_has_said_what_that_means(
    writable: Site, opened: Open
) -> None:
    """With the keyboard alone; then its state and who closed it are shown, there is nothing more to
    do, and focus is in the content.
    """
    own = incident(1, 1, title="stays open")
    await writable.store.write([of(Kind.INCIDENT, own)])
    _, page = await _signed_in(writable, opened, f"/incidents/acme/{own.id}")
    dialog = await _closing(page)
    await expect(dialog).to_contain_text("The incident ends now, whatever the data say.")
    await expect(dialog).to_contain_text("opens no new incident until it has been normal once")
    await expect(dialog).to_contain_text("cannot be opened again")
    assert await browser.violations(page) == []
    since = _now()
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("Waiting for correlate to answer")
    assert await browser.violations(page) == []
    end: dict[str, Any] = {
        "state": IncidentState.CLOSED,
        "change": IncidentChange.CLOSED,
        "resolved_at": since,
    }
    await writable.store.write(
        [of(Kind.INCIDENT, incident(1, 2, note="closed by ann", title="stays open", **end))]
    )
    command = await _answered(writable, since, AuditOutcome.APPLIED)
    assert (command.kind, command.tenant, command.target) == (CommandKind.CLOSE, "acme", own.id)
    assert (command.author, command.comment) == ("ann (api:operator)", "the customer has left")
    await expect(page.locator("#said")).to_have_text("The incident is closed.")
    await expect(dialog).to_have_count(0)
    await expect(page.locator(".marks")).to_contain_text("closed")
    await expect(page.locator(".facts")).to_contain_text("closed by ann")
    await expect(page.locator(".actions")).to_have_count(0)
    await expect(page.locator("main")).to_be_focused()


async def test_a_refusal_is_shown_with_its_reason_and_what_was_written_stays(
    guarded: Site, opened: Open
) -> None:
    """As correlate gives it; one that came to an earlier command about the same incident is not
    taken for it.
    """
    _, page = await _signed_in(guarded, opened, filled.OPEN_PATH, "dark")
    dialog = await _closing(page)
    for reason in ("no incident of this tenant with this id is open", "another reason"):
        since = _now()
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("status")).to_contain_text("Waiting for correlate")
        await _answered(guarded, since, AuditOutcome.REFUSED, reason)
        await expect(dialog.get_by_role("alert")).to_have_text(f"Refused by correlate: {reason}.")
    assert await browser.violations(page) == []
    await page.set_viewport_size({"width": browser.PHONE[0], "height": browser.PHONE[1]})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await browser.violations(page) == []
    await expect(dialog.get_by_label("Comment")).to_have_value("the customer has left")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Close incident…")).to_be_focused()


async def test_a_stage_that_does_not_answer_is_named(guarded: Site, opened: Open) -> None:
    """Nothing is said to be done; the same when what came of it cannot be read, for the command is
    on its topic.
    """
    window = await opened(guarded)
    await window.page.add_init_script(
        "const real = AbortSignal.timeout; AbortSignal.timeout = (ms) => real.call(AbortSignal, ms"
        " === 10000 ? 1500 : ms);"
    )
    page = await window.show(f"{filled.OPEN_PATH}#token={OPERATOR}")
    for status in (None, 503):
        if status:
            await page.route(
                "**/api/v1/audit?*", lambda route: route.fulfill(status=503, json={"title": "away"})
            )
        await _closing(page)
        await page.keyboard.press("Enter")
        await expect(page.locator("#said")).to_contain_text(
            "Sent, but correlate has not answered yet"
        )
        await page.locator("#said").evaluate("(said) => said.replaceChildren()")
    window.forgive("503")


async def test_what_is_over_cannot_be_closed(guarded: Site, opened: Open) -> None:
    """It has no button; where it ended while the form was open, the API's words are shown."""
    window, page = await _signed_in(guarded, opened, filled.OPEN_PATH)
    over = {"status": 409, "title": "Conflict", "detail": "the incident is resolved already"}
    await page.route("**/close?*", lambda route: route.fulfill(status=409, json=over))
    dialog = await _closing(page)
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("alert")).to_have_text("the incident is resolved already")
    window.forgive("409")
    page = await window.show("/?state=resolved")
    await page.locator(".incidents .line a").first.click()
    await expect(page.locator(".marks")).to_contain_text("resolved")
    await expect(page.get_by_role("button", name=re.compile("…$"))).to_have_count(0)


async def test_focus_is_not_lost_with_the_button_that_had_it(writable: Site, opened: Open) -> None:
    """An incident that ends meanwhile has no buttons any more: focus is in the content, and the
    keys work on.
    """
    own = incident(1, 1, title="ends by itself")
    await writable.store.write([of(Kind.INCIDENT, own)])
    _, page = await _signed_in(writable, opened, f"/incidents/acme/{own.id}")
    await page.get_by_role("button", name="Close incident…").focus()
    end: dict[str, Any] = {"state": IncidentState.RESOLVED, "resolved_at": _now()}
    await writable.store.write([of(Kind.INCIDENT, incident(1, 2, title="ends by itself", **end))])
    await page.keyboard.press("r")
    await expect(page.locator(".actions")).to_have_count(0)
    await expect(page.locator("main")).to_be_focused()
