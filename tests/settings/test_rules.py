"""What contradicts itself is refused by `settings validate`, and what is hardly meant gets a line
with what will happen.
"""

from pathlib import Path

import pytest

from topology.cli import main
from topology.settings.loading import load

WEBHOOK = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SENTINEL_")]:
        monkeypatch.delenv(name)


def _validated(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """Exit status, and the lines of `settings validate` without the file's name."""
    path = folder / "s.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["settings", "validate", str(path)])
    printed = capsys.readouterr()
    return (
        int(end.value.code or 0),
        (printed.out + printed.err).replace(str(path), "s.yaml").splitlines(),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("worker: {control_key: k}", "s.yaml:1: worker.control_key: is shorter than 16 characters"),
        (
            "broker: {session_timeout_s: 0, heartbeat_interval_s: 0}",
            "broker.session_timeout_s: is 0; it must be above 0",
        ),
        (
            "correlation: {quiet_s: 3601}",
            "correlation.quiet_s: is above 3600 s: detect sends its watermark",
        ),
        ("broker: {connect_timeout_s: -1}", "broker.connect_timeout_s: is -1; it must be above 0"),
        (
            "store: {retention: {event_days: 0}}",
            "store.retention.event_days: is 0; it must be 1 or more, or null to keep for ever",
        ),
        ("lanes: {linger_s: -1}", "lanes.linger_s: is -1.0; it must be 0 or more"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 1, and the place."""
    status, lines = _validated(tmp_path, text, capsys)
    assert status == 1
    assert any(says in line for line in lines), lines


@pytest.mark.parametrize(
    ("receiver", "says"),
    [
        (
            "{name: a, kind: pagerduty, secret: foo}",
            "a: a PagerDuty routing key has 32 letters and digits",
        ),
        (
            "{name: a, kind: slack, secret: foo}",
            "a: without a channel the secret is the address of an incoming webhook",
        ),
        (
            "{name: a, kind: slack, channel: C1, secret: foo}",
            "a: with a channel the secret is a bot's token",
        ),
        (
            "{name: a, kind: webhook, url: 'https://x.example', secret: foo}",
            "a: a webhook's secret is whsec_",
        ),
        (
            f"{{name: a, kind: webhook, url: 'http://x.example', secret: {WEBHOOK}}}",
            "must begin with https://",
        ),
        (
            f"{{name: a, kind: webhook, url: 'https://u:p@x.example', secret: {WEBHOOK}}}",
            "must not hold a user",
        ),
        (f"{{name: a, kind: webhook, url: 'https://127.0.0.1/', secret: {WEBHOOK}}}", "127.0.0.1"),
    ],
)
def test_receivers_that_alert_refuses_are_refused_here(
    tmp_path: Path, receiver: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them at once, each with its place, and none with its secret."""
    good = f"{{name: good, kind: webhook, url: 'https://x.example', secret: {WEBHOOK}}}"
    text = (
        f"alerting:\n  receivers:\n    - {good}\n    - {receiver}\n  heartbeat: {{url:"
        " 'http://x.example'}\n"
    )
    status, lines = _validated(tmp_path, text, capsys)
    assert status == 1
    first, second = lines
    assert first.startswith("sentinel: s.yaml:2: alerting.receivers: ")
    assert says in first
    assert second.startswith("sentinel: s.yaml:5: alerting.heartbeat: ")
    assert "foo" not in first


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "correlation: {quiet_s: 120}",
            "correlation.quiet_s: is not above the 120 s between two anomalies",
        ),
        ("lanes: {bucket_s: 60}", "correlation.quiet_s: is not above the 720 s"),
        ("detection: {profile: {repeat_buckets: 20}}", "(detection.profile.repeat_buckets)"),
        ("correlation: {give_up_s: 100}", "correlation.give_up_s: is not above quiet_s (180)"),
        ("lanes: {lateness_s: 11}", "lanes.lateness_s: is above lanes.bucket_s (10)"),
        ("lanes: {max_ahead_s: 5}", "lanes.max_ahead_s: is below lanes.bucket_s"),
        ("lanes: {tick_after_s: 30}", "lanes.tick_after_s: is above lanes.bucket_s"),
        (
            "lanes: {subject_expiry_s: 60}",
            "lanes.subject_expiry_s: is shorter than learning a series takes",
        ),
        (
            "correlation: {active_lane_s: 0.5}",
            "correlation.active_lane_s: is below lanes.tick_after_s",
        ),
        ("alerting: {receivers: []}", "alerting.receivers: is empty: incidents notify nobody"),
        ("alerting: {alert_max_age_s: 10}", "alerting.alert_max_age_s: is below the 15 s"),
        ("alerting: {summary_wait_s: 300}", "alerting.summary_wait_s: is above summary_max_wait_s"),
        ("alerting: {retry: {deadline_s: 0}}", "alerting.retry.deadline_s: is below retry.first_s"),
        (
            "{alerting: {repeat_interval_s: 172800}, store: {retention: {incident_days: 1}}}",
            "store.retention.incident_days: is shorter than alerting.repeat_interval_s",
        ),
        (
            (
                f"alerting: {{receivers: [{{name: a, kind: pagerduty, secret: {'k' * 32},"
                " send_resolved: false}]}"
            ),
            "alerting.receivers[0].send_resolved: is false",
        ),
        ("broker: {session_timeout_s: 5}", "broker.session_timeout_s: is below 6 s"),
        ("broker: {group_instance_id: a}", "broker.group_instance_id: is set in the file"),
        (
            "detection: {deviation: {false_alarms_per_week: 5}}",
            "worker.control_key: is not set: the detection settings",
        ),
        ("sink: {events: all}", "sink.events: has no effect"),
        ("store: {kind: embedded, timeout_s: 90}", "store.timeout_s: is above store.deadline_s"),
        (
            "{store: {kind: embedded}, api: {token: tttttttttttttttt}}",
            "worker.control_key: is not set: nobody can",
        ),
    ],
)
def test_what_is_hardly_meant_is_told_and_not_refused(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0: somebody may have a reason."""
    status, lines = _validated(tmp_path, text, capsys)
    assert status == 0
    assert lines[-1] == "s.yaml: good"
    assert any(line.startswith("hint: ") and says in line for line in lines), lines


def test_what_may_be_none_at_all_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero is a value where the setting's text says so."""
    text = "lanes: {lateness_s: 0, linger_s: 0, measured_series: 0}"
    assert _validated(tmp_path, text, capsys) == (0, ["s.yaml: good"])


def test_the_defaults_get_no_hint() -> None:
    """Nor does a group name of its own that a worker has from its environment."""
    assert load().hints() == []


def test_a_worker_may_have_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment it is each worker's own."""
    monkeypatch.setenv("SENTINEL_BROKER__GROUP_INSTANCE_ID", "detect-1")
    assert load().hints() == []
