"""PagerDuty's and Slack's intake as their documentation describes them: shapes and limits are
checked, and refused with their words.
"""

import re
from typing import Any, Final

import orjson
from aiohttp import web

from tests.harness.webhook_server import Behaviour

ROUTING_KEY: Final = "0123456789abcdef0123456789abcdef"
BOT_TOKEN: Final = "xoxb-1234-abcd"
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def pagerduty(request: web.Request) -> web.StreamResponse:
    """202 with the dedup_key, or 400 with what is wrong."""
    event = orjson.loads(await request.read())
    if faults := list(_event_faults(event)):
        wrong = {"status": "invalid event", "message": "Event object is invalid", "errors": faults}
        return web.json_response(wrong, status=400)
    done = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
    return web.json_response(done, status=202)


def _event_faults(event: dict[str, Any]) -> list[str]:
    faults = []
    known = {
        "routing_key",
        "event_action",
        "dedup_key",
        "payload",
        "client",
        "client_url",
        "links",
        "images",
    }
    if set(event) - known:
        faults.append(f"unknown {set(event) - known}")
    if event.get("routing_key") != ROUTING_KEY:
        faults.append("Invalid routing key")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        faults.append("bad event_action")
    if not 0 < len(event.get("dedup_key", "")) <= 255:
        faults.append("bad dedup_key")
    if event.get("event_action") == "trigger":
        payload = event.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1024:
            faults.append("'summary' is missing or too long")
        if not payload.get("source"):
            faults.append("'source' is missing or blank")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            faults.append("'severity' is bad")
        if not _TIME.fullmatch(payload.get("timestamp", "")):
            faults.append("'timestamp' is bad")
        faults += [
            f"link {link}" for link in event.get("links", ()) if set(link) != {"href", "text"}
        ]
    return faults


async def slack_webhook(request: web.Request) -> web.StreamResponse:
    """200 `ok`, or 400 with a word."""
    wrong = _blocks_fault(orjson.loads(await request.read()))
    return web.Response(status=400, text=wrong) if wrong else web.Response(text="ok")


async def slack_bot(request: web.Request) -> web.StreamResponse:
    """chat.postMessage and chat.update: always 200, the body says how it went."""
    message = orjson.loads(await request.read())
    if request.headers.get("Authorization") != f"Bearer {BOT_TOKEN}":
        return web.json_response({"ok": False, "error": "invalid_auth"})
    if message.get("channel") != "C123":
        return web.json_response({"ok": False, "error": "channel_not_found"})
    if wrong := _blocks_fault(message):
        return web.json_response({"ok": False, "error": wrong})
    if request.path.endswith("/chat.update") and message.get("ts") != "1503435956.000247":
        return web.json_response({"ok": False, "error": "message_not_found"})
    return web.json_response({"ok": True, "channel": "C123", "ts": "1503435956.000247"})


def says(status: int, body: object, **headers: str) -> Behaviour:
    """This answer, whatever came."""

    async def behave(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return behave


def _blocks_fault(message: dict[str, Any]) -> str:
    if not message.get("text"):
        return "no_text"
    blocks = message.get("blocks", [])
    if not 0 < len(blocks) <= 50:
        return "invalid_blocks"
    for attachment in message.get("attachments", []):
        if not re.fullmatch(r"#[0-9a-f]{6}", attachment["color"]) or not attachment["blocks"]:
            return "invalid_attachments"
        blocks = [*blocks, *attachment["blocks"]]
    for block in blocks:
        texts = [block["text"]] if "text" in block else block["fields"]
        most = 150 if block["type"] == "header" else 2000 if "fields" in block else 3000
        if len(texts) > 10 or any(not 0 < len(text["text"]) <= most for text in texts):
            return "invalid_blocks"
        if any(
            "<" in text["text"] or ">" in text["text"]
            for text in texts
            if text["type"] == "plain_text"
        ):
            return "unescaped"
    return ""
