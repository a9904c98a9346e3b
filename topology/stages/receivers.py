"""A connector for each receiver of the settings."""

from agents.alerting.ports import Receiver
from connectors.heartbeat.receiver import PingReceiver
from connectors.http.rate_limit import Paces
from streams.state.position import Refused
from topology.settings.receivers import AlertingSettings


def receivers_of(settings: AlertingSettings) -> dict[str, Receiver]:
    """A connector for each receiver, by name.

    Raises Refused, naming the receiver, where its URL or secret is not allowed.
    """
    made: dict[str, Receiver] = {}
    paces = Paces()
    for receiver in settings.receivers:
        try:
            made[receiver.name] = receiver.receiver(receiver.name, paces)
        except ValueError as fault:
            raise Refused(f"alerting.receivers: {receiver.name}: {fault}") from fault
    return made


def check_receivers(settings: AlertingSettings) -> tuple[list[str], list[str]]:
    """Faults for which `alert` would refuse its receivers or its heartbeat, and hints at what it
    accepts though it looks wrong: a line each, with what to do.

    Builds every connector as `alert` does, without network. No line shows a secret.
    """
    faults, hints = [], []
    for receiver in settings.receivers:
        try:
            receiver.receiver(receiver.name, Paces())
        except ValueError as fault:
            faults.append(f"alerting.receivers: {receiver.name}: {fault}")
        else:
            hints += [f"alerting.receivers: {receiver.name}: {hint}" for hint in receiver.hints()]
    try:
        heartbeat_of(settings)
    except Refused as fault:
        faults.append(str(fault))
    if settings.receivers and all(receiver.match for receiver in settings.receivers):
        hints.append(
            "alerting.receivers: each has a `match`; an incident that matches none is sent to"
            " nobody"
        )
    return faults, hints


def heartbeat_of(settings: AlertingSettings) -> Receiver | None:
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
