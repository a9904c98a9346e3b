"""All stages as real processes: an event breaks a rule, and a signed message arrives; once,
whatever happens to receiver and worker.
"""

import base64
import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from standardwebhooks.webhooks import Webhook

from agents.detectors.settings import Comparison, DetectionSettings, Rule
from schemas.records.anomalies import Severity
from schemas.records.notifications import Notification, NotificationOutcome
from schemas.secrets import Secret
from streams.admin.topics import STAGES
from tests.harness.inbox import Inbox, inbox
from tests.harness.telemetry_log import event
from tests.harness.webhook_server import answers, hangs
from tests.harness.worker import CONTROL_KEY, Installation, Worker, until
from topology.control.publishing import publish

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()
RULE = Rule("slow", "latency_us", Comparison.ABOVE, 5_000_000, Severity.HIGH)


@dataclass
class Chain:
    """The stages, and who is told."""

    installation: Installation
    inbox: Inbox
    workers: dict[str, Worker]
    stack: ExitStack

    def start(self, stage: str) -> Worker:
        """Another worker of a stage."""
        worker = self.workers[stage] = self.stack.enter_context(self.installation.worker(stage))
        return worker

    def breaks_the_rule(self, application: str) -> None:
        """One slow call of an application that nobody heard of."""
        slow = event(
            0, 0, event_time=time.time_ns() // 1000, application=application, latency_us=9_000_000
        )
        self.installation.send(self.installation.names.telemetry, 0, [slow.to_bytes()])

    def notes(self, webhook_id: str) -> list[Notification]:
        """What is on record about a message, in order."""
        kept = self.installation.read(self.installation.names.notifications)
        notes = [
            Notification.from_bytes(record.value) for record in kept if record.value is not None
        ]
        return [note for note in notes if note.id == webhook_id]

    def ended(self, webhook_id: str) -> list[NotificationOutcome]:
        """The outcomes on record, once the last of them is there."""
        until(
            lambda: len(self.notes(webhook_id)) > 1,
            "the fate is on record",
            worker=self.workers["alert"],
        )
        return [note.outcome for note in self.notes(webhook_id)]


@pytest.fixture(scope="module")
def chain(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Detect, correlate and alert, ready, with one rule published and an inbox."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "secret").write_text(SECRET)
    with ExitStack() as stack:
        box = stack.enter_context(inbox())
        receiver = {
            "name": "inbox",
            "kind": "webhook",
            "url": box.url,
            "secret_file": "secret",
            "allow_private": True,
        }
        alerting = {"receivers": [receiver], "retry": {"first_s": 0.2, "cap_s": 1.0}}
        installation = Installation(
            kafka, f"c{uuid.uuid4().hex[:8]}.", folder, 1, {"alerting": alerting}
        )
        installation.with_topics()
        settings = DetectionSettings(rules=(RULE,))
        publish(installation.broker, installation.lanes, settings, Secret(CONTROL_KEY), "tests")
        made = Chain(installation, box, {}, stack)
        for stage in STAGES:
            made.start(stage)
        for worker in made.workers.values():
            worker.ready()
        yield made


def test_a_broken_rule_is_a_message_that_others_can_verify(chain: Chain) -> None:
    """Signed by Standard Webhooks, checked by its own library; a refused attempt and the next one
    carry the same id; both are on record.
    """
    before = len(chain.inbox)
    chain.inbox.next(answers(500))
    chain.breaks_the_rule("first")
    until(
        lambda: len(chain.inbox) == before + 2,
        "the message comes again",
        worker=chain.workers["alert"],
    )
    first, second = chain.inbox.posts(before)
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert first[1] == second[1]
    for headers, body in (first, second):
        Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    said = json.dumps(json.loads(second[1]))
    assert '"first"' in said
    assert "latency" in said
    webhook_id = second[0]["webhook-id"]
    assert chain.ended(webhook_id) == [NotificationOutcome.DECIDED, NotificationOutcome.DELIVERED]
    assert chain.notes(webhook_id)[-1].attempt == 2


def test_a_worker_killed_between_decision_and_delivery_delivers_under_the_same_id(
    chain: Chain,
) -> None:
    """The decision was durable before the call; the heir of the lane makes the call again, and
    nobody decides twice.
    """
    before = len(chain.inbox)
    chain.inbox.next(hangs)
    chain.breaks_the_rule("second")
    until(
        lambda: len(chain.inbox) == before + 1,
        "the call is under way",
        worker=chain.workers["alert"],
    )
    chain.workers["alert"].kill()
    heir = chain.start("alert")
    until(lambda: len(chain.inbox) == before + 2, "the message comes again", worker=heir)
    cut, whole = chain.inbox.posts(before)
    assert cut[0]["webhook-id"] == whole[0]["webhook-id"]
    assert cut[1] == whole[1]
    assert chain.ended(whole[0]["webhook-id"]) == [
        NotificationOutcome.DECIDED,
        NotificationOutcome.DELIVERED,
    ]
    assert heir.metric("sentinel_stale_blocks_total") == 0


@pytest.mark.parametrize("stage", STAGES)
def test_health_and_metrics_of_every_stage_mean_something(chain: Chain, stage: str) -> None:
    """It moves, it is ready, its lane is durable and not behind, and what it said is counted."""
    worker = chain.workers[stage].ready()
    assert worker.get("/live") == (200, "moving\n")
    assert worker.get("/ready") == (200, "ready\n")
    until(
        lambda: worker.metric("sentinel_lane_lag", lane=0) <= 2, "it is not behind", worker=worker
    )
    assert worker.metric("sentinel_ready", stage=stage) == 1
    assert worker.metric("sentinel_recovery_seconds") > 0
    if stage == "detect":
        assert (
            worker.metric("sentinel_outputs_total", topic=chain.installation.names.anomalies) >= 2
        )
        assert worker.metric("sentinel_events_total") >= 2
    if stage == "correlate":
        assert (
            worker.metric("sentinel_outputs_total", topic=chain.installation.names.incidents) >= 2
        )
    if stage == "alert":
        assert worker.metric("sentinel_delivery_attempts_total", receiver="inbox") >= 1
    until(
        lambda: worker.metric("sentinel_lane_durable_position") > 0, "it is durable", worker=worker
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_told_to_end_flushes_and_ends_with_status_0(
    chain: Chain, stage: str
) -> None:
    """Nothing is left to do again: what it took is durable, and no error is told on the way out.
    (The last test of this module.)
    """
    worker = chain.workers[stage].ready()
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0, worker.said()
    assert "Traceback" not in worker.said()
