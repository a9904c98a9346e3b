"""A profile of every user: recent requests, tokens and cost against the user's own past and against the application's users."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agents.detectors.contract import Closed, Finding, Float64s, Kind, Tables, Verdicts, significant
from agents.detectors.deviation_findings import confidence
from agents.detectors.profile_judging import Judged, counted, expected, judged
from agents.detectors.profile_learning import crowds_learnt, users_learnt
from agents.detectors.profile_state import CROWD_ROW, METRICS, USER_ROW, Crowds, Users, read_crowds, read_users, write
from agents.detectors.settings import Profile
from schemas.records import Direction, Severity
from schemas.units import quantity
from streams.tables import TableSpec

_FORGOTTEN: Final = 25
"""Time constants after which nothing is left of a volume."""

_STEPS: Final = ((2.2, Severity.CRITICAL), (1.4, Severity.HIGH))
"""Logarithm of the ratio, in that of the least ratio, from which an anomaly is so grave; below the last it is medium."""


class ProfileDetector:
    """Requests, tokens and cost of every user that had a request in the bucket; only too much is told, never too little.

    A user's *volume* is what the user took lately, falling off exponentially over `window_buckets`. Its logarithm is compared with what
    the user's past and the crowd, the application's users, make likely (`profile_judging.expected`): of a stranger that is what the
    crowd takes, of an old user what the user always took, however heavy. The score is the distance in standard deviations; who has not
    enough past of their own has a higher bar. It takes a least ratio too, and a volume that is high among the crowd's.

    An anomaly is told at its start and then every `repeat_buckets` in which the user is active; meanwhile nothing is learnt from the user,
    by the profile or the crowd. The confidence is as the deviation's (`deviation_findings.confidence`).

    Users without a request in the bucket cost nothing. Each close judges against what closes before it left, and then learns.
    """

    name = "profile"
    version = 1
    kind = Kind.USER
    bands: tuple[str, ...] = ()
    tables: Sequence[tuple[Kind, TableSpec]] = (
        (Kind.USER, TableSpec("profile", USER_ROW)),
        (Kind.APPLICATION, TableSpec("crowd", CROWD_ROW)),
    )

    def __init__(self, settings: Profile) -> None:
        self._settings = settings
        keep = np.full(_FORGOTTEN * settings.window_buckets + 1, np.exp(-1 / settings.window_buckets))
        keep[0] = 1.0
        # Powers by multiplication: a library's `pow` differs between processors. What is older than the last counts nothing.
        self._kept: Float64s = np.cumprod(keep)
        self._kept[-1] = 0.0

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Findings in the order of rows, then of metrics."""
        active = np.flatnonzero(closed.numbers["requests"] > 0)
        if not self._settings.enabled or not len(active):
            return Verdicts(())
        rows = closed.rows[active]
        applications, crowd_of = np.unique(closed.applications[active], return_inverse=True)
        tables["profile"].reserve(int(rows.max()) + 1)
        tables["crowd"].reserve(int(applications[-1]) + 1)
        users = read_users(tables["profile"], rows)
        crowds = read_crowds(tables["crowd"], applications)
        amounts = np.stack([closed.numbers[name][active] for name in ("requests", "tokens", "cost_nano")]).astype(
            np.float64
        )
        stamp = closed.bucket + 1
        oldest = len(self._kept) - 1
        kept = self._kept[np.where(users.last > 0, np.clip(stamp - users.last, 0, oldest), oldest)]
        around = crowds.of(crowd_of)
        verdict = judged(users, around, kept, amounts, stamp, self._settings)
        findings: list[Finding] = []
        for place, metric in np.argwhere(verdict.telling.T).tolist():
            at = (metric, place)
            came = {"amount": float(amounts[at]), "kept": float(kept[place])}
            findings.append(self._finding(closed, int(rows[place]), at, users, around, verdict, came))
        write(tables["profile"], rows, users_learnt(users, around, verdict, stamp, self._settings))
        write(tables["crowd"], applications, crowds_learnt(crowds, crowd_of, users, verdict, stamp, self._settings))
        return Verdicts(findings)

    def recompute(self, metric: str, evidence: Mapping[str, float]) -> float:
        """The score from the volume before, what came, and what was usual."""
        number = {name: np.array([value]) for name, value in evidence.items()}
        own, crowd = (
            (number["centre"], number["spread"], number["learnt"]),
            (number["crowd_centre"], number["crowd_spread"]),
        )
        centre, variance = expected(*own, *crowd, number["newcomer"] > 0)
        deviation = np.sqrt(variance)
        came = counted(np.array([evidence["amount"]]), centre, deviation)
        volume = evidence["volume_before"] * evidence["kept"] + came
        return float(significant((np.log(volume) - centre) / deviation)[0])

    def _finding(
        self,
        closed: Closed,
        row: int,
        at: tuple[int, int],
        users: Users,
        crowds: Crowds,
        verdict: Judged,
        came: dict[str, float],
    ) -> Finding:
        metric, newcomer = METRICS[at[0]], bool(verdict.newcomer[at])
        score, effect, volume = float(verdict.score[at]), float(verdict.effect[at]), float(verdict.volume[at])
        usual = float(np.exp(verdict.size[at] - effect))
        size = effect / float(np.log(self._settings.least_ratio))
        minutes = self._settings.window_buckets * (closed.end - closed.start) / 60e6
        whose = "the application's users make likely" if newcomer else "is usual for this user"
        numbers = came | {"volume_before": float(users.volume[at])}
        numbers |= {name: float(getattr(users, name)[at]) for name in ("centre", "spread", "learnt")}
        numbers |= {f"crowd_{name}": float(getattr(crowds, name)[at]) for name in ("centre", "spread", "learnt")}
        numbers |= {"newcomer": float(newcomer), "effect": effect}
        return Finding(
            kind=Kind.USER,
            row=row,
            metric=metric,
            window_start=closed.start,
            window_end=closed.end,
            event_time=closed.end,
            observed=volume,
            expected=usual,
            score=score,
            severity=next((grade for least, grade in _STEPS if size >= least), Severity.MEDIUM),
            confidence=confidence(score),
            direction=Direction.ABOVE,
            reason=f"{metric} over about {minutes:.3g} min: {quantity(metric, volume)}, "
            f"where {quantity(metric, usual)} {whose}, score {score:.3g}",
            evidence=tuple(numbers.items()),
        )
