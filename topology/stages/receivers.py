"""A connector for each receiver of the settings."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from agents.alerting.ports import Receiver
from agents.alerting.settings import AlertSettings, ReceiverKind, ReceiverSettings
from connectors.heartbeat.receiver import PingReceiver
from connectors.http.rate_limit import Pace
from connectors.log.receiver import LogReceiver
from connectors.pagerduty import receiver as pagerduty
from connectors.slack import receiver as slack
from connectors.webhook.receiver import WebhookReceiver
from schemas.secrets import Secret
from streams.state.position import Refused


def receivers_of(settings: AlertSettings) -> dict[str, Receiver]:
    """A connector for each receiver. Raises Refused, naming the receiver, where its URL or secret
    is not allowed.
    """
    made: dict[str, Receiver] = {}
    paces: dict[tuple[Secret, str], Pace] = {}
    for receiver in settings.receivers:
        try:
            made[receiver.name] = _receiver(receiver, paces)
        except ValueError as fault:
            raise Refused(f"alerting.receivers: {receiver.name}: {fault}") from fault
    return made


def check_receivers(settings: AlertSettings) -> tuple[list[str], list[str]]:
    """What `alert` would refuse of its receivers and its heartbeat, and what it takes though it
    looks wrong: a line each, with what to do.

    Builds every connector as `alert` does, and asks no network. No line shows a secret.
    """
    faults, hints = [], []
    for receiver in settings.receivers:
        if receiver.kind is ReceiverKind.LOG:
            # Nothing of it can be wrong, and its logger takes half a second to import.
            continue
        try:
            _receiver(receiver, {})
        except ValueError as fault:
            faults.append(f"alerting.receivers: {receiver.name}: {fault}")
        else:
            hints += [f"alerting.receivers: {receiver.name}: {hint}" for hint in _hints(receiver)]
    try:
        heartbeat_of(settings)
    except Refused as fault:
        faults.append(str(fault))
    if settings.receivers and all(receiver.match for receiver in settings.receivers):
        hints.append(
            "alerting.receivers: each has a `match`; an incident that matches none is told to"
            " nobody"
        )
    return faults, hints


def _hints(receiver: ReceiverSettings) -> Iterator[str]:
    secret = receiver.secret.reveal()
    if (
        receiver.kind is ReceiverKind.SLACK
        and receiver.channel is None
        and not receiver.allow_private
    ):
        address = urlsplit(secret)
        if address.hostname not in slack.WEBHOOK_HOSTS:
            yield (
                f"the secret is an address at {address.hostname}; Slack's begin with"
                " https://hooks.slack.com/"
            )
        elif not address.path.startswith(("/services/", "/workflows/", "/triggers/")):
            yield (
                "the secret is not a whole address of an incoming webhook:"
                " https://hooks.slack.com/services/T…/B…/…"
            )
    if (
        receiver.kind is ReceiverKind.SLACK
        and receiver.channel is not None
        and not secret.startswith("xoxb-")
    ):
        yield (
            "the secret is not the token of a bot, which begins with xoxb-; other tokens end with"
            " the person they belong to"
        )
    if receiver.kind is ReceiverKind.PAGERDUTY and receiver.url is not None:
        host = urlsplit(receiver.url).hostname or ""
        if not host.endswith("pagerduty.com") and not receiver.allow_private:
            yield (
                f"the url is at {host}; PagerDuty's are {pagerduty.URL} and"
                " https://events.eu.pagerduty.com/v2/enqueue"
            )


def heartbeat_of(settings: AlertSettings) -> Receiver | None:
    """The connector of the heartbeat; None without one. Raises Refused where its address is not
    allowed.
    """
    heartbeat = settings.heartbeat
    if not heartbeat.url:
        return None
    try:
        return PingReceiver(heartbeat.url, allow_private=heartbeat.allow_private)
    except ValueError as fault:
        raise Refused(f"alerting.heartbeat: {fault}") from fault


def _receiver(receiver: ReceiverSettings, paces: dict[tuple[Secret, str], Pace]) -> Receiver:
    secret, allow_private = receiver.secret, receiver.allow_private
    match receiver.kind:
        case ReceiverKind.LOG:
            # Brings structlog along, which those who only check settings need not wait for.
            from topology.logs import log_for

            return LogReceiver(receiver.name, log_for("sentinel.notifications"))
        case ReceiverKind.WEBHOOK:
            return WebhookReceiver(receiver.url or "", secret, allow_private=allow_private)
        case ReceiverKind.PAGERDUTY:
            # PagerDuty counts by routing key, so receivers with the same one share a pace; one at
            # another address holds it up no more than its own.
            url = receiver.url or pagerduty.URL
            pace = paces.setdefault((secret, url), Pace(pagerduty.CALLS_A_MINUTE, 60.0))
            return pagerduty.PagerDutyReceiver(secret, pace, url=url, allow_private=allow_private)
        case ReceiverKind.SLACK:
            url = receiver.url or slack.BOT_URL
            return slack.SlackReceiver(
                secret, receiver.channel, url=url, allow_private=allow_private
            )
