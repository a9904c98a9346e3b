"""The lane of alert: what it asks of those who carry its steps out."""

from dataclasses import replace

import pytest

from agents.alerting.decisions import DeliveryEnded
from agents.alerting.messages import Delivery
from agents.alerting.retrying import Delivered
from agents.alerting.settings import AlertSettings
from agents.stages.alert import DELIVERY, AlertLane, Surroundings
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


def test_a_message_is_an_effect_of_the_step_that_decided_it() -> None:
    """Its decision goes to `notifications` with the state; it stays pending until its outcome is
    noted, over a restart too.
    """
    settings = AlertSettings(receivers=(PAGER,))
    shared = Surroundings(TopicNames("t."), settings, 1, lambda: micros(1), NoCommands())
    lane, heir = AlertLane(0, shared), AlertLane(0, shared)
    opened = replace(incident("i1", IncidentChange.OPENED, 0), offset=0, ordinal=0)
    step = lane.step(block([Rec(0, micros(0) // 1000, opened.to_bytes())]))
    [effect] = step.effects
    assert isinstance(effect.payload, Delivery)
    assert (effect.kind, effect.id, effect.decided_at, effect.payload.incident_id) == (
        DELIVERY,
        effect.payload.notification_id,
        micros(1),
        "i1",
    )
    assert [topic for topic, _, _ in step.with_state] == ["t.notifications"]
    heir.restore({key: value for key, value in lane.changes() if value is not None})
    assert heir.pending() == [effect]
    ended = heir.ended(effect, DeliveryEnded(Delivered("HTTP 200"), 200), 1)
    assert [topic for topic, _, _ in ended.with_state] == ["t.notifications"]
    assert heir.pending() == []
    with pytest.raises(TypeError):
        heir.ended(effect, "delivered", 1)


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
        Surroundings(TopicNames("t."), settings, 1, lambda: micros(1), NoCommands()),
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
