"""Receivers are checked without network, by building them as alert does."""

from typing import Any

import pytest

from agents.alerting.settings import HeartbeatSettings
from schemas.secrets import Secret
from streams.state.position import Refused
from tests.harness.services import ROUTING_KEY
from tests.webhook.test_delivering import SECRET
from topology.settings.receivers import (
    AlertingSettings,
    ConnectedReceiver,
    Log,
    PagerDuty,
    Slack,
    Webhook,
)
from topology.stages.receivers import check_receivers, receivers_of

HOOK = "https://hooks.slack.com/services/T000/B000/xxxx"
GOOD: list[dict[str, Any]] = [
    {"kind": Log},
    {"kind": Webhook, "url": "https://x.example/h", "secret": Secret(SECRET)},
    {"kind": PagerDuty, "secret": Secret(ROUTING_KEY)},
    {"kind": Slack, "secret": Secret(HOOK)},
    {"kind": Slack, "secret": Secret("xoxb-1234-abcd"), "channel": "C1"},
]
FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": Webhook, "url": "http://x.example", "secret": Secret(SECRET)},
        "must begin with https://",
    ),
    (
        {"kind": Webhook, "url": "https://127.0.0.1", "secret": Secret(SECRET)},
        "loopback address",
    ),
    (
        {"kind": Webhook, "url": "https://u:pass@x.example", "secret": Secret(SECRET)},
        "user or a password",
    ),
    (
        {"kind": Webhook, "url": "https://x.example", "secret": Secret("foo")},
        "whsec_ and the base64",
    ),
    (
        {"kind": Webhook, "url": "https://x.example", "secret": Secret("whsec_Zm9v")},
        "24 to 64",
    ),
    ({"kind": PagerDuty, "secret": Secret("foo")}, "32 letters and digits"),
    (
        {"kind": PagerDuty, "secret": Secret(ROUTING_KEY), "url": "ftp://x"},
        "must begin with https://",
    ),
    ({"kind": Slack, "secret": Secret("foo")}, "begins with https://"),
    (
        {"kind": Slack, "secret": Secret("http://hooks.slack.com/services/T/B/x")},
        "must begin with https:",
    ),
    ({"kind": Slack, "secret": Secret("foo"), "channel": "C1"}, "begins with xoxb-"),
    ({"kind": Slack, "secret": Secret("xox"), "channel": "C1"}, "begins with xoxb-"),
    ({"kind": Slack, "secret": Secret(HOOK), "channel": "C1"}, "begins with xoxb-"),
]
HINTS: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": Slack, "secret": Secret("https://chat.example/hooks/1")},
        "an address at chat.example",
    ),
    (
        {"kind": Slack, "secret": Secret("https://hooks.slack.com/")},
        "not a whole address",
    ),
    (
        {"kind": Slack, "secret": Secret("xoxp-1234-abcd"), "channel": "C1"},
        "not the token of a bot",
    ),
    (
        {
            "kind": PagerDuty,
            "secret": Secret(ROUTING_KEY),
            "url": "https://x.example/v2",
        },
        "the url is at x.example",
    ),
    (
        {"kind": Log, "match": ("tenant=acme",)},
        "an incident that matches none is sent to nobody",
    ),
]


def receiver(name: str, kind: type[ConnectedReceiver], **named: Any) -> Any:
    """One of this kind."""
    return kind(name=name, **named)


def checked(**named: Any) -> tuple[list[str], list[str]]:
    """What is said of one receiver."""
    return check_receivers(AlertingSettings(receivers=(receiver("r", **named),)))


@pytest.mark.parametrize("named", GOOD)
def test_what_is_right_is_passed_over_in_silence(named: dict[str, Any]) -> None:
    """Neither fault nor hint."""
    assert checked(**named) == ([], [])


@pytest.mark.parametrize(("named", "fault"), FAULTS)
def test_what_alert_refuses_is_a_fault_with_the_receivers_name(
    named: dict[str, Any], fault: str
) -> None:
    """The same as alert says at its start, and it does not show the secret."""
    [line], hints = checked(**named)
    assert line.startswith("alerting.receivers: r: ")
    assert fault in line
    assert hints == []
    with pytest.raises(Refused, match="r: "):
        receivers_of(AlertingSettings(receivers=(receiver("r", **named),)))
    for secret in (SECRET, ROUTING_KEY, "Zm9v", "T000", "pass"):
        assert secret not in line.replace("password", "")


@pytest.mark.parametrize(("named", "hint"), HINTS)
def test_what_looks_wrong_is_a_hint(named: dict[str, Any], hint: str) -> None:
    """It may be meant: a service that speaks Slack's form."""
    faults, [line] = checked(**named)
    assert faults == []
    assert hint in line


def test_all_faults_are_told_at_once_the_heartbeats_too() -> None:
    """Nobody wants to mend one to read the next."""
    receivers = tuple(receiver(f"r{n}", **named) for n, (named, _) in enumerate(FAULTS))
    heartbeat = HeartbeatSettings(url=Secret("http://x.example"))
    faults, _ = check_receivers(AlertingSettings(receivers=receivers, heartbeat=heartbeat))
    assert len(faults) == len(FAULTS) + 1
    assert faults[-1].startswith("alerting.heartbeat: ")
