"""Our own records with values that we never write: one field is named, and nothing computes with
it.
"""

from dataclasses import replace
from typing import Any

import pytest

from schemas.avro.coding import Record
from schemas.bounds import LATEST
from schemas.errors import BadRecord, Reason
from schemas.records.anomalies import Anomaly, SignalChange, SignalStatus
from schemas.records.incidents import Incident, IncidentChange
from schemas.records.plausible import MAX_BYTES, MAX_NAME_BYTES, MAX_TEXT_BYTES, plausible
from tests.alerting.timeline import incident
from tests.correlation.timeline import anomaly

ANOMALY = anomaly(0)
CHANGE = SignalChange(
    tenant="acme",
    application="shop",
    metric="latency",
    detector="deviation",
    status=SignalStatus.NO_DATA,
    event_time=0,
    settings_version="0",
    reason="",
    lane=0,
    offset=0,
    ordinal=0,
)
INCIDENT = incident("i1", IncidentChange.RESOLVED, 0)
FAR = (2**63 - 1, -(2**63), 10**18, -1)
FORGED: list[tuple[Record, str, Any, Reason]] = [
    *[
        (ANOMALY, name, far, Reason.OUT_OF_RANGE)
        for name in ("event_time", "window_start", "window_end")
        for far in FAR
    ],
    *[(CHANGE, name, far, Reason.OUT_OF_RANGE) for name in ("event_time", "since") for far in FAR],
    *[
        (INCIDENT, name, far, Reason.OUT_OF_RANGE)
        for name in (
            "opened_at",
            "updated_at",
            "resolved_at",
            "no_data_since",
            "new_level_since",
            "evidence_since",
        )
        for far in FAR
    ],
    *[
        (one, name, -1, Reason.OUT_OF_RANGE)
        for one in (ANOMALY, CHANGE, INCIDENT)
        for name in ("lane", "offset", "ordinal")
    ],
    (INCIDENT, "revision", -1, Reason.OUT_OF_RANGE),
    *[(one, "tenant", "", Reason.BLANK) for one in (ANOMALY, CHANGE, INCIDENT)],
    *[
        (one, "tenant", "x" * (MAX_NAME_BYTES + 1), Reason.TOO_LONG)
        for one in (ANOMALY, CHANGE, INCIDENT)
    ],
    (ANOMALY, "id", "", Reason.BLANK),
    (ANOMALY, "metric", "x" * 70_000, Reason.TOO_LONG),
    (CHANGE, "reason", "\u2026" * MAX_TEXT_BYTES, Reason.TOO_LONG),
    (INCIDENT, "title", "x" * 70_000, Reason.TOO_LONG),
]


@pytest.mark.parametrize(("record", "name", "value", "reason"), FORGED)
def test_what_we_never_write_is_refused_by_its_field(
    record: Record, name: str, value: Any, reason: Reason
) -> None:
    """Times before 1970 or after 2099, places below 0, texts without a bound."""
    with pytest.raises(BadRecord) as caught:
        plausible(type(record), replace(record, **{name: value}).to_bytes())  # type: ignore[type-var]
    assert (caught.value.reason, caught.value.field) == (reason, name)


@pytest.mark.parametrize("record", [ANOMALY, CHANGE, INCIDENT])
def test_what_we_write_is_taken(record: Record) -> None:
    """Also of a lane that has not seen an event, whose time is 0, and up to the last bucket of
    2099.
    """
    times = {
        name: at
        for name in ("event_time", "window_start", "opened_at")
        for at in (0,)
        if hasattr(record, name)
    }
    late = {name: LATEST for name in ("window_end", "since", "updated_at") if hasattr(record, name)}
    for made in (record, replace(record, **times), replace(record, **late)):  # type: ignore[type-var]
        assert plausible(type(made), made.to_bytes()) == made


@pytest.mark.parametrize("kind", [Anomaly, SignalChange, Incident])
def test_a_record_without_bound_is_not_decoded(kind: type[Record]) -> None:
    """A batch may be small, and its records large."""
    with pytest.raises(BadRecord) as caught:
        plausible(kind, bytes(MAX_BYTES + 1))
    assert caught.value.reason == Reason.TOO_LARGE
