"""The messages of this release, to the byte.

After a change that is meant, write the golden file again:

    python -m tests.alerting.test_message_form
"""

from dataclasses import replace
from pathlib import Path

import orjson

from agents.alerting.messages import Listing, incident_message, summary_message
from agents.alerting.reasons import Reason
from agents.alerting.tracked_incident import Acknowledgement
from schemas.messages.message import encode, parse
from schemas.records.anomalies import Breakdown
from schemas.records.incidents import IncidentChange, IncidentState
from tests.alerting.timeline import incident, micros

GOLDEN = Path(__file__).parent / "golden" / "messages-unreleased.jsonl"
PAGE, TRACE = "https://sentinel.example.org", "https://traces.example.org/{trace_id}"


def messages() -> list[str]:
    """One message for each reason, of an incident with everything that an incident can have."""
    opened = replace(
        incident("4f", IncidentChange.OPENED, 0),
        users=("u1",),
        evidence_metric="latency_us",
        evidence_observed=12_000_000.0,
        evidence_expected=400_000.0,
        evidence_score=8.25,
        evidence_since=micros(0),
        breakdown=(Breakdown("error_type", "rate_limited", 41),),
        sample_event_ids=("e1", "e2"),
        sample_trace_ids=("t1",),
        note="",
    )
    bare = incident("50", IncidentChange.OPENED, 0)
    ruled = replace(opened, evidence_rule="too-slow", evidence_score=None)
    ended = replace(opened, revision=9, resolved_at=micros(9), note="normal for three minutes")
    known = Acknowledgement("ann", micros(5), "looking")
    made = [(Reason.OPENED, bare, None, None, None)] + [
        (reason, about, PAGE, TRACE, acknowledged)
        for reason, about, acknowledged in (
            (Reason.OPENED, opened, None),
            (Reason.ESCALATED, ruled, None),
            (Reason.EXTENDED, replace(opened, models=("gpt-4o", "other")), None),
            (Reason.REPEATED, replace(opened, no_data_since=micros(3)), None),
            (Reason.ACKNOWLEDGED, opened, known),
            (Reason.NEW_LEVEL, replace(opened, new_level_since=micros(3)), known),
            (Reason.RESOLVED, replace(ended, state=IncidentState.RESOLVED), known),
            (Reason.GIVEN_UP, replace(ended, state=IncidentState.GIVEN_UP), None),
            (Reason.CLOSED, replace(ended, state=IncidentState.CLOSED), Acknowledgement("bob", 0)),
        )
    ]
    bodies = [
        incident_message(about, reason, page, trace, acknowledged)
        for reason, about, page, trace, acknowledged in made
    ]
    listings = [Listing.of(opened), Listing.of(replace(ended, state=IncidentState.RESOLVED))]
    return [*bodies, summary_message("acme", listings, 3, PAGE)]


def test_messages_are_those_of_the_golden_file() -> None:
    """A receiver may check any field of them."""
    assert messages() == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_messages_that_are_read_and_written_again_are_the_same() -> None:
    """Reading loses nothing of this release."""
    for body in messages():
        assert encode(parse(body)) == body
        assert orjson.loads(body)["version"] == 2


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(messages()) + "\n", encoding="utf-8")
