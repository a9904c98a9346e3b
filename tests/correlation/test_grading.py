"""An incident is a step graver than its gravest anomaly when it is two of large, long and wide."""

from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.correlator import Correlator
from agents.correlation.grading import Extent, Thresholds, incident_severity
from agents.correlation.settings import CorrelationSettings
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentChange
from tests.correlation.timeline import Lane, anomaly, arrives, ends, micros, watermark

BOUNDS = Thresholds(large=30, long_us=900_000_000, wide=3)
ORDER = list(Severity)
EXTENTS = st.builds(Extent, st.integers(1, 60), st.integers(0, 1_800_000_000), st.integers(0, 6))


@given(st.sampled_from(ORDER), EXTENTS)
def test_two_of_three_raise_by_one_step(gravest: Severity, extent: Extent) -> None:
    """One alone raises nothing, three raise no more than two, info stays info, and critical is the
    end.
    """
    held = [extent.anomalies >= 30, extent.lasting_us >= 900_000_000, extent.reach >= 3]
    step = int(sum(held) >= 2 and gravest is not Severity.INFO)
    assert incident_severity(gravest, extent, BOUNDS) is ORDER[min(ORDER.index(gravest) + step, 4)]


def test_rise_by_size_and_duration_is_told_once_and_kept_over_a_restart() -> None:
    """The anomaly that makes it long as well as large escalates it; the end still says so."""
    settings = CorrelationSettings(large_from=5, long_from_s=60)
    lane = Lane(settings)
    told = [
        made
        for n in range(10)
        for made in lane.at(n * 10, arrives(anomaly(n * 10, source=(0, n + 1, 0))))
    ]
    assert [(made.change, made.severity) for made in told] == [
        (IncidentChange.OPENED, Severity.MEDIUM),
        (IncidentChange.ESCALATED, Severity.HIGH),
    ]
    assert told[1].updated_at == micros(60)
    rows = {key: value for key, value in lane.core.changed() if value is not None}
    heir = Correlator(settings, 3)
    heir.restore(rows)
    lane.core = heir
    lane.at(100, ends(100, anomaly(0), source=(0, 50, 0)))
    [ended] = heir.on_watermark(0, 99, micros(400), offset=99, append_time=micros(400))
    assert (ended.change, ended.severity) == (IncidentChange.RESOLVED, Severity.HIGH)


def test_reach_counts_models_and_users() -> None:
    """A second model and two users of a large incident are an escalation, a fourth metric is
    none.
    """
    lane = Lane(CorrelationSettings(large_from=4, wide_from=4, update_every_s=1000))
    lane.at(0, *(arrives(anomaly(0, source=(0, n, 0), metric=f"m{n}")) for n in range(1, 6)))
    lane.at(
        1,
        arrives(anomaly(1, source=(0, 6, 0), user="u1")),
        arrives(anomaly(1, source=(0, 7, 0), user="u2")),
    )
    [escalated] = lane.at(2, arrives(anomaly(2, source=(0, 8, 0), model="o3")))
    assert escalated.change is IncidentChange.ESCALATED
    metrics = [anomaly(0, metric=f"m{n}") for n in range(1, 6)]
    others = [anomaly(1, user="u1"), anomaly(1, user="u2"), anomaly(2, model="o3")]
    lane.at(3, *(ends(3, one, source=(0, 20 + n, 0)) for n, one in enumerate(metrics + others)))
    [resolved] = lane.at(300, watermark(300, source_offset=9))
    assert resolved.severity is Severity.HIGH
