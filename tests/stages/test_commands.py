"""People speak to the real alert worker: silences, acknowledgements and forgeries, with PagerDuty
on the other side.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from aiokafka.partitioner import murmur2

from schemas.records.control import Audit, AuditOutcome, Command, CommandKind
from schemas.records.incidents import Incident, IncidentChange
from schemas.records.notifications import Notification
from schemas.secrets import Secret
from streams.control.command_log import command_record
from tests.alerting.timeline import incident
from tests.harness.inbox import Inbox, inbox
from tests.harness.services import ROUTING_KEY
from tests.harness.webhook_server import answers
from tests.harness.worker import CONTROL_KEY, Installation, Worker, until
from topology.cli import main
from topology.control.commanding import SilenceState, silence, silences

LANES = 2


@dataclass
class Office:
    """The alert worker, its receiver, and the command line."""

    installation: Installation
    pager: Inbox
    worker: Worker
    config: str
    sent: int = 0

    def happens(self, name: str, change: IncidentChange, application: str) -> str:
        """A record of an incident of this moment, in the lane of its key; returns the incident's
        id.
        """
        record = self._record(name, change, application)
        key = f"{record.tenant}/{record.id}".encode()
        lane = (murmur2(key) & 0x7FFFFFFF) % LANES
        self.installation.send(
            self.installation.names.incidents, lane, [record.to_bytes()], key=key
        )
        return record.id

    def _record(self, name: str, change: IncidentChange, application: str) -> Incident:
        now, self.sent = time.time_ns() // 1000, self.sent + 1
        made = incident(name, change, 0)
        return replace(
            made, application=application, opened_at=now, updated_at=now, offset=self.sent
        )

    def pages(self) -> list[tuple[str, str]]:
        """Action and incident of all events so far."""
        events = [json.loads(body) for _, body in self.pager.posts()]
        return [(event["event_action"], event["dedup_key"].rpartition("/")[2]) for event in events]

    def is_paged(self, action: str, incident_id: str) -> None:
        """Returns when this event has come."""
        until(
            lambda: (action, incident_id) in self.pages(),
            f"{action} of {incident_id}",
            worker=self.worker,
        )

    def notes(self, incident_id: str) -> list[Notification]:
        """What is on record about an incident."""
        kept = self.installation.read(self.installation.names.notifications)
        notes = [
            Notification.from_bytes(record.value) for record in kept if record.value is not None
        ]
        return [note for note in notes if note.incident_id == incident_id]

    def answers(self, target: str) -> list[Audit]:
        """What is on record about commands for this incident or silence."""
        kept = self.installation.read(self.installation.names.audit)
        found = [Audit.from_bytes(record.value) for record in kept if record.value is not None]
        return [answer for answer in found if answer.target == target]


@pytest.fixture(scope="module")
def office(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Two lanes in one worker."""
    with ExitStack() as stack:
        pager = stack.enter_context(inbox())
        pager.next(*[answers(202)] * 100)
        receiver = {
            "name": "pd",
            "kind": "pagerduty",
            "url": pager.url,
            "secret": ROUTING_KEY,
            "allow_private": True,
        }
        installation = Installation(
            kafka,
            f"p{uuid.uuid4().hex[:8]}.",
            tmp_path_factory.mktemp("office"),
            LANES,
            {"alerting": {"receivers": [receiver]}},
        ).with_topics()
        worker = stack.enter_context(installation.worker("alert")).ready()
        yield Office(installation, pager, worker, str(installation.config()))


def said(capsys: pytest.CaptureFixture[str], office: Office, *words: str) -> str:
    """What the command line prints."""
    with pytest.raises(SystemExit) as end:
        main([*words, "--config", office.config])
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    return printed.out


def test_acknowledgement_reaches_pagerduty_under_the_incidents_key(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trigger, acknowledge, resolve: one alert there; the command is on record once."""
    name = office.happens("a" * 32, IncidentChange.OPENED, "checkout")
    office.is_paged("trigger", name)
    said(capsys, office, "acknowledge", name, "--tenant", "acme", "--author", "ann")
    office.is_paged("acknowledge", name)
    office.happens(name, IncidentChange.RESOLVED, "checkout")
    office.is_paged("resolve", name)
    assert [action for action, about in office.pages() if about == name] == [
        "trigger",
        "acknowledge",
        "resolve",
    ]
    [answer] = office.answers(name)
    assert (answer.author, answer.action, answer.outcome) == (
        "ann",
        "acknowledge",
        AuditOutcome.APPLIED,
    )


def test_silence_holds_back_in_every_lane_until_it_is_expired(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Suppressed on record with the silence's id, listed, and told as soon as the silence is
    gone.
    """
    line = said(
        capsys,
        office,
        "silence",
        "tenant=acme",
        "application=search",
        "--for",
        "1h",
        "--comment",
        "deploy",
    )
    silence_id = line.split()[1]
    until(lambda: office.answers(silence_id), "the silence is on record", worker=office.worker)
    names = [office.happens(digit * 32, IncidentChange.OPENED, "search") for digit in "bcdef"]
    told = office.happens("9" * 32, IncidentChange.OPENED, "billing")
    office.is_paged("trigger", told)
    for name in names:
        until(
            lambda name=name: office.notes(name), "the decision is on record", worker=office.worker
        )
        [note] = office.notes(name)
        assert (note.outcome, note.reason, note.detail) == ("suppressed", "silenced", silence_id)
    listed = said(capsys, office, "silence", "--list")
    assert silence_id in listed
    assert "deploy" in listed
    assert not {about for _, about in office.pages()} & set(names)
    said(capsys, office, "silence", "--expire", silence_id)
    for name in names:
        office.is_paged("trigger", name)
    assert "ended by" in said(capsys, office, "silence", "--list")


def test_forged_commands_go_to_dead_letters_once_and_silence_nobody(office: Office) -> None:
    """Without our signature, with another key's, copied to another tenant, and bytes that are no
    command.
    """
    now, names = time.time_ns() // 1000, office.installation.names
    forged = Command(
        id="forged",
        tenant="acme",
        kind=CommandKind.SILENCE,
        author="eve",
        at=now,
        target="",
        matchers=(),
        starts_at=now,
        ends_at=now + 3_600_000_000,
        comment="",
    )
    ours = command_record(names.commands, replace(forged, tenant="other"), Secret(CONTROL_KEY))
    theirs = command_record(names.commands, forged, Secret("another key"))
    assert ours.value is not None
    assert theirs.value is not None
    office.installation.send(names.commands, 0, [theirs.value], key=b"acme")
    office.installation.send(names.commands, 1, [theirs.value], theirs.headers, key=b"acme")
    office.installation.send(names.commands, 0, [ours.value], ours.headers, key=b"acme")
    office.installation.send(names.commands, 1, [b"no command"], key=b"acme")

    def letters() -> list[str]:
        kept = office.installation.read(names.dead_letters)
        return [
            str(record.headers["sentinel-reason"])
            for record in kept
            if record.headers["sentinel-topic"] == names.commands.encode()
        ]

    until(lambda: len(letters()) >= 4, "they are in dead-letters", worker=office.worker)
    name = office.happens("7" * 32, IncidentChange.OPENED, "checkout")
    office.is_paged("trigger", name)
    assert letters() == ["b'command without our signature'"] * 4
    assert office.answers("forged") == []


def test_what_cannot_be_meant_is_one_plain_line(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is sent."""
    for words, line in (
        (
            ["tenant=acme", "--for", "2h"],
            "this would silence every incident of acme; add conditions, or --all",
        ),
        (["application=a", "--for", "2h"], "a silence is for one tenant; add tenant=NAME"),
        (["tenant=acme", "application=a"], "give a duration, such as --for 2h"),
        (["tenant=acme", "application=a", "--for", "-2h"], "invalid duration"),
        (["tenant=acme", "colour=a", "--for", "2h"], "unknown field 'colour'"),
        (["--expire", "nothing"], "there is no silence nothing"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["silence", *words, "--config", office.config])
        assert end.value.code == 1
        assert line in capsys.readouterr().err


def test_the_list_shows_what_alert_made_of_each_silence(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,003 were asked for, 1,000 are applied, 3 are refused with the reason: one implementation of
    the rule, and the list asks it.
    """
    broker, key, producer = (
        office.installation.broker,
        Secret(CONTROL_KEY),
        office.installation.producer,
    )
    now = time.time_ns() // 1000
    for number in range(1003):
        command = silence(
            "many",
            (f"user=u{number}",),
            author="loop",
            comment="",
            now=now,
            ends_at=now + 3_600_000_000,
        )
        record = command_record(office.installation.names.commands, command, key)
        producer.produce(
            record.topic, value=record.value, key=record.key, headers=list(record.headers)
        )
        producer.poll(0)
    assert producer.flush(120) == 0

    def states() -> Counter[str]:
        return Counter(one.state for one in silences(broker, key, now, "many"))

    until(
        lambda: states()[SilenceState.WAITING] == 0, "alert has answered each", worker=office.worker
    )
    assert states() == {SilenceState.APPLIED: 1000, SilenceState.REFUSED: 3}
    listed = said(capsys, office, "silence", "--list", "--tenant", "many")
    assert listed.count("refused: the tenant has 1000 silences already") == 3
    with pytest.raises(SystemExit) as end:
        main(["silence", "tenant=many", "user=one-more", "--for", "1h", "--config", office.config])
    assert end.value.code == 1
    assert "is refused: the tenant has 1000 silences already" in capsys.readouterr().err


def test_an_acknowledgement_of_what_is_not_open_is_said_to_be_refused(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is asked of alert, not assumed."""
    with pytest.raises(SystemExit) as end:
        main(["acknowledge", "f" * 32, "--tenant", "nobody", "--config", office.config])
    assert end.value.code == 1
    assert "is refused: no incident of this tenant with this id is open" in capsys.readouterr().err


def test_a_killed_worker_still_knows_the_silence(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is in the lanes' state, or read again before the first record is taken. (The last test of
    this module.)
    """
    line = said(capsys, office, "silence", "tenant=acme", "severity<=high", "--for", "1h")
    silence_id = line.split()[1]
    assert line.rstrip().endswith(": applied")
    office.worker.kill()
    unheard = said(capsys, office, "silence", "tenant=idle", "user=x", "--for", "1h")
    assert "waiting, alert has not processed it within 5 s" in unheard
    assert "waiting" in said(capsys, office, "silence", "--list", "--tenant", "idle")
    names = [office.happens(digit * 32, IncidentChange.OPENED, "night") for digit in "3456"]
    with office.installation.worker("alert") as heir:
        heir.ready()
        until(lambda: all(map(office.notes, names)), "all are decided", worker=heir)
        assert {note.detail for name in names for note in office.notes(name)} == {silence_id}
        assert not {about for _, about in office.pages()} & set(names)
        until(
            lambda: "applied" in said(capsys, office, "silence", "--list", "--tenant", "idle"),
            "obeyed",
            worker=heir,
        )
