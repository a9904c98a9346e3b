"""The log as a receiver."""

from structlog import get_logger
from structlog.testing import capture_logs

from agents.alerting.ports import Receiver
from agents.alerting.retrying import Delivered, after_attempt
from agents.alerting.settings import RetrySettings
from connectors.log.receiver import LogReceiver
from schemas.records.incidents import IncidentChange
from tests.alerting.timeline import Desk, deliveries, incident


async def test_message_becomes_one_line_with_its_facts() -> None:
    """What is wrong, where and how gravely, under the message's id; not the whole body."""
    desk = Desk()
    [opened] = deliveries(desk.at(0, incident("i1", IncidentChange.OPENED, 0)))
    log: Receiver = LogReceiver("log", get_logger())
    with capture_logs() as lines:
        answer = await log.deliver(opened.notification_id, opened.body.encode(), 0)
    assert lines == [
        {
            "event": "notification",
            "log_level": "info",
            "receiver": "log",
            "notification_id": opened.notification_id,
            "type": "incident.opened",
            "timestamp": "2023-11-14T22:13:20.000000Z",
            "incident_tenant": "acme",
            "incident_id": "i1",
            "incident_application": "chat-api",
            "incident_state": "open",
            "incident_severity": "high",
            "incident_title": "latency of chat-api/gpt-4o 3.1x expected",
        }
    ]
    verdict = after_attempt(
        answer, notification_id="m", attempt=1, decided_at=0, now=0, retry=RetrySettings()
    )
    assert isinstance(verdict, Delivered)


async def test_summary_becomes_one_line_too() -> None:
    """With its counts."""
    desk = Desk()
    desk.at(3600, incident("i1", IncidentChange.OPENED, 0))
    [summary] = deliveries(desk.pass_to(3700))
    with capture_logs() as lines:
        await LogReceiver("log", get_logger()).deliver(
            summary.notification_id, summary.body.encode(), 0
        )
    [line] = lines
    assert (line["type"], line["summary_count"], line["summary_open"]) == (
        "incidents.summary",
        1,
        1,
    )
