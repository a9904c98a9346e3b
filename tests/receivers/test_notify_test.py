"""`sentinel notify-test`: a receiver proves itself before it is needed."""

from pathlib import Path

import pytest
import yaml

from tests.harness.inbox import inbox
from tests.harness.services import ROUTING_KEY
from tests.harness.webhook_server import answers
from topology.cli import main


def config(folder: Path, url: str) -> str:
    """A settings file with a PagerDuty receiver at this address, and a Slack one that is not
    called.
    """
    receivers = [
        {
            "name": "on-call",
            "kind": "pagerduty",
            "secret": ROUTING_KEY,
            "url": url,
            "allow_private": True,
        },
        {"name": "chat", "kind": "slack", "secret": "xoxb-secret", "channel": "C1"},
    ]
    path = folder / "sentinel.yaml"
    path.write_text(
        yaml.safe_dump({"alerting": {"receivers": receivers, "page_url": "https://s.example"}})
    )
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and all that the command printed."""
    with pytest.raises(SystemExit) as end:
        main(["notify-test", *arguments])
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out + printed.err


def test_start_and_end_are_sent_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing stays open at the receiver; the person reads how it answered."""
    with inbox() as box:
        box.next(answers(202), answers(202))
        status, said = told(capsys, "on-call", "--config", config(tmp_path, box.url))
        posts = box.posts()
    assert status == 0
    assert said.splitlines() == [
        "on-call accepted the test message (opened): HTTP 202",
        "on-call accepted the test message (resolved): HTTP 202",
    ]
    assert [b'"trigger"' in posts[0][1], b'"resolve"' in posts[1][1]] == [True, True]
    assert b"This is a test" in posts[0][1]


def test_refusal_is_one_plain_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the receiver's answer; a name that is not there is told with those that are."""
    with inbox() as box:
        box.next(answers(500))
        status, said = told(capsys, "on-call", "--config", config(tmp_path, box.url))
    assert (status, said) == (
        1,
        "sentinel: on-call did not accept the test message (opened): server fault, HTTP 500\n",
    )
    status, said = told(capsys, "nobody", "--config", config(tmp_path, "https://x.example"))
    assert (status, said) == (
        1,
        "sentinel: no receiver is called 'nobody'; alerting.receivers has on-call, chat\n",
    )


@pytest.mark.parametrize("name", ["on-call", "chat"])
def test_dry_run_shows_the_message_and_no_secret(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent: there is nobody at this address."""
    status, said = told(
        capsys, name, "--dry-run", "--config", config(tmp_path, "http://127.0.0.1:1/")
    )
    assert status == 0
    assert "This is a test" in said
    assert "https://s.example/incidents/notify-test/" in said
    assert ROUTING_KEY not in said
    assert "xoxb" not in said


def routed(folder: Path) -> str:
    """A settings file with receivers for some incidents."""
    receivers = [
        {"name": "shop", "match": ["application=checkout"]},
        {"name": "grave", "min_severity": "critical"},
    ]
    path = folder / "routed.yaml"
    path.write_text(yaml.safe_dump({"alerting": {"receivers": receivers}}))
    return str(path)


def test_reaches_says_who_would_be_told_of_an_incident_and_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent."""
    asked = [
        "--reaches",
        "application=search",
        "--reaches",
        "severity=high",
        "--config",
        routed(tmp_path),
    ]
    status, said = told(capsys, *asked)
    assert status == 0
    lines = [line.split(maxsplit=1) for line in said.splitlines()[1:]]
    assert lines == [
        ["shop", "not sent: does not match the receiver"],
        ["grave", "not sent: below the receiver's severity"],
    ]
    _, said = told(capsys, "--reaches", "application=checkout", "--config", routed(tmp_path))
    assert said.count("sent: opened") == 2


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("colour=red", "unknown field 'colour'"),
        ("model!=a", "does not describe an incident; write model=VALUE"),
    ],
)
def test_what_describes_no_incident_is_one_plain_line(
    condition: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to write."""
    status, said = told(capsys, "--reaches", condition, "--config", routed(tmp_path))
    assert status == 1
    assert fault in said
