"""The lane of alert: what it asks of those who carry its steps out."""

from dataclasses import replace

import pytest

from agents.alerting.messages import Delivery
from agents.alerting.settings import AlertSettings
from agents.stages.alert import AlertLane, Surroundings
from schemas.records.incidents import IncidentChange
from streams.topic_names import TopicNames
from tests.alerting.timeline import PAGER, incident, micros
from tests.harness.telemetry_log import Rec, block


class NoCommands:
    """Nobody asks for anything."""

    def ends(self) -> dict[int, int]:
        return {}

    def since(self, partition: int, offset: int) -> "list[object]":
        return []


def test_a_decision_is_durable_before_its_message_is_begun() -> None:
    """Sent first, it would be sent again by whoever finds no decision, when its time or its
    revision has passed.
    """
    begun: list[Delivery] = []
    settings = AlertSettings(receivers=(PAGER,))

    def begin(lane: AlertLane, deliveries: list[Delivery]) -> None:
        begun.extend(deliveries)

    lane = AlertLane(
        0, Surroundings(TopicNames("t."), settings, 1, lambda: micros(1), begin, NoCommands())
    )
    opened = replace(incident("i1", IncidentChange.OPENED, 0), offset=0, ordinal=0)
    step = lane.step(block([Rec(0, micros(0) // 1000, opened.to_bytes())]))
    assert step.flush
    assert begun == []
    for follow in step.then:
        follow()
    assert [delivery.incident_id for delivery in begun] == ["i1"]


@pytest.mark.parametrize(
    "name",
    [
        "opened_at",
        "updated_at",
        "resolved_at",
        "no_data_since",
        "new_level_since",
        "evidence_since",
    ],
)
@pytest.mark.parametrize("far", [2**63 - 1, -(2**63), 10**18])
def test_an_incident_of_a_time_that_cannot_be_is_a_dead_letter(name: str, far: int) -> None:
    """With its field, and its neighbours are told: else one record of one tenant would end alert
    for all.
    """
    settings = AlertSettings(receivers=(PAGER,))
    lane = AlertLane(
        0,
        Surroundings(
            TopicNames("t."), settings, 1, lambda: micros(1), lambda *_: None, NoCommands()
        ),
    )
    opened = replace(incident("i1", IncidentChange.OPENED, 0), offset=1, evidence_metric="latency")
    forged = replace(opened, offset=0, evidence_observed=1.0, **{name: far})  # type: ignore[arg-type]
    step = lane.step(
        block(
            [
                Rec(row, micros(0) // 1000, one.to_bytes())
                for row, one in enumerate((forged, opened))
            ]
        )
    )
    (letter,) = step.now
    assert dict(letter.headers)["sentinel-field"].decode() == name
    assert [topic for topic, _, _ in step.with_state] == ["t.notifications"]
