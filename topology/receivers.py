"""A connector for each receiver of the settings."""

from agents.alerting.ports import Receiver
from agents.alerting.settings import AlertSettings, ReceiverKind, ReceiverSettings
from connectors import pagerduty, slack
from connectors.log import LogReceiver
from connectors.pace import Pace
from connectors.ping import PingReceiver
from connectors.webhook import WebhookReceiver
from schemas.secrets import Secret
from streams.position import Refused
from topology.logs import log_for


def receivers_of(settings: AlertSettings) -> dict[str, Receiver]:
    """A connector for each receiver. Raises Refused, naming the receiver, where its URL or secret is not allowed."""
    made: dict[str, Receiver] = {}
    paces: dict[Secret, Pace] = {}
    for receiver in settings.receivers:
        try:
            made[receiver.name] = _receiver(receiver, paces)
        except ValueError as fault:
            raise Refused(f"alerting.receivers: {receiver.name}: {fault}") from fault
    return made


def heartbeat_of(settings: AlertSettings) -> Receiver | None:
    """The connector of the heartbeat; None without one. Raises Refused where its address is not allowed."""
    heartbeat = settings.heartbeat
    if not heartbeat.url:
        return None
    try:
        return PingReceiver(heartbeat.url, allow_private=heartbeat.allow_private)
    except ValueError as fault:
        raise Refused(f"alerting.heartbeat: {fault}") from fault


def _receiver(receiver: ReceiverSettings, paces: dict[Secret, Pace]) -> Receiver:
    secret, allow_private = receiver.secret, receiver.allow_private
    match receiver.kind:
        case ReceiverKind.LOG:
            return LogReceiver(receiver.name, log_for("sentinel.notifications"))
        case ReceiverKind.WEBHOOK:
            return WebhookReceiver(receiver.url or "", secret, allow_private=allow_private)
        case ReceiverKind.PAGERDUTY:
            # PagerDuty counts by routing key, so receivers with the same one share a pace.
            pace = paces.setdefault(secret, Pace(pagerduty.CALLS_A_MINUTE, 60.0))
            url = receiver.url or pagerduty.URL
            return pagerduty.PagerDutyReceiver(secret, pace, url=url, allow_private=allow_private)
        case ReceiverKind.SLACK:
            url = receiver.url or slack.BOT_URL
            return slack.SlackReceiver(secret, receiver.channel, url=url, allow_private=allow_private)
