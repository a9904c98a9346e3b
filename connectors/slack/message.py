"""A message as Slack shows it: https://docs.slack.dev/reference/block-kit

Text from telemetry goes into plain text blocks, where Slack reads no markup, with & < > escaped, so
that the name of a model can neither notify a channel (`<!channel>`) nor forge a link. The only
markup is Sentinel's: links, and times, which Slack shows in each reader's own time zone.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from connectors.facts import facts
from connectors.texts import plain
from schemas.messages.message import IncidentPart, Message, SummaryMessage

_MAX_HEADER: Final = 150
_MAX_TEXT: Final = 3000
_MAX_FIELD: Final = 2000
_MAX_LINE: Final = 200
_MAX_LISTED: Final = 20
_MAX_FIELDS: Final = 10
_WORDS: Final = {
    "incident.opened": "Open",
    "incident.escalated": "Escalated",
    "incident.extended": "Scope extended",
    "incident.repeated": "Still open",
    "incident.acknowledged": "Acknowledged",
    "incident.new_level": "Unchanged, now the new level",
    "incident.resolved": "Resolved",
    "incident.given_up": "Given up, no data",
    "incident.closed": "Closed",
}
_COLOURS: Final = {
    "critical": "#b3261e",
    "high": "#e8710a",
    "medium": "#f2c037",
    "low": "#4a90d9",
    "info": "#8a8f98",
}
_UNKNOWN_COLOUR: Final = "#b3261e"
_ENDED: Final = {"resolved": "#2e7d32", "closed": "#2e7d32"}
"""By state. A given up incident keeps the colour of its severity: nobody knows that it is over."""
_TIMES: Final = {
    "since": "Since",
    "acknowledged_since": "Acknowledged",
    "no_data_since": "No data since",
    "new_level_since": "New level since",
}
"""Facts that are times, with their labels."""


def slack_message(message: Message) -> dict[str, Any]:
    """The message for Slack's API, without a channel: the news as its header, and the incident with
    the colour of its severity.
    """
    if isinstance(message, SummaryMessage):
        return _summary(message)
    incident = message.incident
    head = f"{_WORDS.get(message.type, message.type)}: {incident.severity}, {incident.application}"
    whole = _whole(f"{head}: {incident.title}", [_header(head)])
    # An unknown severity gets the colour of the most severe one.
    colour = _ENDED.get(incident.state) or _COLOURS.get(incident.severity, _UNKNOWN_COLOUR)
    return whole | {"attachments": [{"color": colour, "blocks": list(_about(incident))}]}


def slack_reply(message: Message) -> dict[str, Any]:
    """The news alone, for the thread below the message that shows the incident."""
    return {name: value for name, value in slack_message(message).items() if name != "attachments"}


def _about(incident: IncidentPart) -> Iterator[dict[str, Any]]:
    yield _plain_section(plain(incident.title, _MAX_TEXT // 5))
    known = dict(facts(incident))
    times = {_TIMES[name]: text for name, text in known.items() if name in _TIMES}
    labelled = {
        name.replace("_", " ").capitalize(): text
        for name, text in known.items()
        if name not in _TIMES
    }
    labelled |= {"Tenant": incident.tenant, "Anomalies": str(incident.anomaly_count)}
    labelled |= {"Models": ", ".join(incident.models), "Metrics": ", ".join(incident.metrics)}
    # Slack refuses a message with more than ten fields.
    texts = [
        f"{name}: {plain(text, _MAX_FIELD // 5 - 20)}" for name, text in labelled.items() if text
    ]
    yield {"type": "section", "fields": [_text(text) for text in texts[:_MAX_FIELDS]]}
    markup = [
        f"{name} {_local_time(text)}"
        for name, text in ({"Opened": incident.opened_at} | times).items()
        if text
    ]
    if incident.link is not None:
        markup.append(f"<{incident.link}|Open the incident>")
    markup += [f"<{link}|Trace {number}>" for number, link in enumerate(incident.trace_links, 1)]
    if markup:
        yield {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "  \u00b7  ".join(markup)[:_MAX_TEXT]},
        }


def _local_time(iso: str) -> str:
    """A time that Slack shows in the reader's time zone; where it cannot, in UTC.

    >>> _local_time("2023-11-14T22:13:20.000000Z")
    '<!date^1700000000^{date_short_pretty} {time_secs}|2023-11-14 22:13:20 UTC>'
    """
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return escaped(plain(iso, _MAX_LINE))
    return (
        f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time_secs}}|{at:%Y-%m-%d %H:%M:%S}"
        " UTC>"
    )


def escaped(text: str) -> str:
    """`&`, `<` and `>` escaped for Slack; unescaped, `<!channel>` would notify everybody.

    >>> escaped("a < b & <!channel>")
    'a &lt; b &amp; &lt;!channel&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _summary(message: SummaryMessage) -> dict[str, Any]:
    head = (
        f"{message.count} incidents of {message.tenant}: {message.open} open, {message.resolved}"
        " resolved"
    )
    lines = [
        plain(f"{item.state}, {item.severity}, {item.application}: {item.title}", _MAX_LINE)
        for item in message.incidents[:_MAX_LISTED]
    ]
    blocks = [_header(head)]
    # One block a line: 20 lines of 200 characters would be too long for one when escaped.
    blocks += [_plain_section(line) for line in lines]
    if (more := message.count - len(lines)) > 0:
        blocks.append(_plain_section(f"and {more} more"))
    return _whole(head, blocks)


def _whole(text: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    # The text is for notifications and screen readers. There Slack would read markup, unless the
    # message forbids it.
    return {
        "text": escaped(plain(text, _MAX_TEXT // 5)),
        "blocks": blocks,
        "mrkdwn": False,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _header(text: str) -> dict[str, Any]:
    line = escaped(plain(text, _MAX_HEADER))
    # Escaping lengthens the text, and Slack refuses a header that is too long: cut until it fits.
    most = _MAX_HEADER
    while len(line) > _MAX_HEADER:
        most -= 1
        line = escaped(plain(text, most))
    return {"type": "header", "text": {"type": "plain_text", "text": line, "emoji": False}}


def _plain_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text or "(no text)")}


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}
