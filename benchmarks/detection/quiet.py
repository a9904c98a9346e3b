"""Rows about quiet days: whatever is reported is false."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.detection.playing import Played, play
from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.worlds import Series, Shape, World, bursty, season, walk
from schemas.records.anomalies import Severity
from schemas.records.incidents import Incident
from tests.harness.showing import Json

KINDS: Final[dict[str, Shape]] = {"season": season, "sum": walk, "client": bursty}
VOLUMES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DAYS: Final = 14

_GRAVE: Final = (Severity.HIGH, Severity.CRITICAL)


def quiet_rows(plan: Plan) -> Iterator[Row]:
    """A row for each kind of traffic, from one world that has them all: most of the cost is that of
    closing buckets, which they share.
    """
    series = [
        Series(f"{kind}-{volume:g}-{copy}", volume, shape, kind)
        for kind, shape in KINDS.items()
        for volume in VOLUMES
        for copy in range(plan.times(2) if volume <= 3 else 1)
    ]
    days = plan.days(DAYS)
    played = play(World(series, days, plan.seed).tables())
    for kind in KINDS:
        some = [one for one in series if one.kind == kind]
        yield Row.of(
            f"quiet {kind}",
            f"false incidents on {days:.3g} days without faults",
            plan.seed,
            len(some),
            played,
            *_told(played, some, days / 7),
        )


def _told(
    played: Played, series: Sequence[Series], weeks: float
) -> tuple[dict[str, Json], dict[str, Json]]:
    """What was reported about these series; events and CPU time of a row are those of all."""
    names = {one.application for one in series}
    told = [one.last for one, _ in played.matches.incidents if one.last.application in names]
    each = Counter(one.application for one in told)
    by_volume: dict[str, list[float]] = defaultdict(list)
    for one in series:
        by_volume[f"{one.volume:g}/s"].append(each[one.application] / weeks)
    metrics = Counter(
        f"{one.metric} {one.direction.value}"
        for one in played.result.replay.anomalies
        if one.application in names
    )
    return {
        "false_per_application_week": round(len(told) / len(series) / weeks, 3),
        "worst_application": round(max(each.values(), default=0) / weeks, 2),
        "share_above_medium": _share(told, *_GRAVE),
        "share_info": _share(told, Severity.INFO),
        "weeks": round(weeks, 2),
    }, {
        "by_volume": {name: round(sum(rates) / len(rates), 2) for name, rates in by_volume.items()},
        "anomalies_by_metric": dict(metrics.most_common(12)),
    }


def _share(told: Sequence[Incident], *severities: Severity) -> float:
    return round(sum(one.severity in severities for one in told) / max(len(told), 1), 3)
