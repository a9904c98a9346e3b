"""A profile of every user: recent requests, tokens and cost against the user's own past and against
the application's users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import (
    WATCHED_EVERY,
    Change,
    Closed,
    Finding,
    Float64s,
    Int64s,
    Kind,
    Signal,
    Tables,
    Verdicts,
)
from agents.detectors.profile.judging import Judged, counted, expected, judged, unjudged
from agents.detectors.profile.learning import crowds_learnt, users_learnt
from agents.detectors.profile.state import (
    CROWD_ROW,
    METRICS,
    USER_ROW,
    Crowds,
    Users,
    is_open,
    read_crowds,
    read_users,
    write,
)
from agents.detectors.scores import confidence, significant
from agents.detectors.settings import Profile
from schemas.records.anomalies import Direction, Severity, SignalStatus
from schemas.units import quantity
from streams.state.tables import TableSpec

_FORGOTTEN: Final = 25
"""Time constants after which nothing is left of a volume."""

_STEPS: Final = ((2.2, Severity.CRITICAL), (1.4, Severity.HIGH))
"""Logarithm of the ratio, in that of the least ratio, from which an anomaly is so grave; below the
last it is medium.
"""


class ProfileDetector:
    """Requests, tokens and cost of every user that had a request in the bucket; only too much is
    told, never too little.

    A user's *volume* is what the user took lately, falling off exponentially over `window_buckets`.
    Its logarithm is compared with what the user's past and the crowd, the application's users, make
    likely (`profile_judging.expected`): of a stranger that is what the crowd takes, of an old user
    what the user always took, however heavy. The score is the distance in standard deviations; who
    has not enough past of their own has a higher bar. It takes a least ratio too, and a volume that
    is high among the crowd's.

    An anomaly is told at its start and then every `repeat_buckets` in which the user is active;
    meanwhile nothing is learnt from the user, by the profile or the crowd. The confidence is as the
    deviation's (`scores.confidence`).

    The signal ends when the user takes less again, be it nothing at all while other users of the
    application go on; or, after the level was taken as the user's new one, when the user takes
    clearly less than that. A user whose whole application has gone silent ends nothing; nor does
    one in whose application no request tells of tokens, or of cost, in the bucket: a signal of that
    stays as it was.

    Users without a request in the bucket cost nothing, but for those with an open signal. Each
    close judges against what closes before it left, and then learns.
    """

    name = "profile"
    version = 1
    kind = Kind.USER
    bands: tuple[str, ...] = ()
    tables: Sequence[tuple[Kind, TableSpec]] = (
        (Kind.USER, TableSpec("profile", USER_ROW)),
        (Kind.APPLICATION, TableSpec("crowd", CROWD_ROW)),
    )

    def __init__(self, settings: Profile, no_data_buckets: int = 18) -> None:
        self._settings, self._no_data_buckets = settings, no_data_buckets
        keep = np.full(
            _FORGOTTEN * settings.window_buckets + 1, np.exp(-1 / settings.window_buckets)
        )
        keep[0] = 1.0
        # Powers by multiplication: a library's `pow` differs between processors. What is older than
        # the last counts nothing.
        self._kept: Float64s = np.cumprod(keep)
        self._kept[-1] = 0.0

    def at_close(self, tables: Tables, closed: Closed) -> Verdicts:
        """Findings in the order of rows, then of metrics; changes likewise, those of users without
        a request last.
        """
        if not self._settings.enabled or not len(closed.rows):
            return Verdicts(())
        findings, changes = self._judged_active(tables, closed)
        return Verdicts(findings, changes=changes + self._judged_idle(tables, closed))

    def _judged_active(self, tables: Tables, closed: Closed) -> tuple[list[Finding], list[Change]]:
        active = np.flatnonzero(closed.numbers["requests"] > 0)
        if not len(active):
            return [], []
        rows = closed.rows[active]
        applications, crowd_of = np.unique(closed.applications[active], return_inverse=True)
        tables["profile"].reserve(int(rows.max()) + 1)
        tables["crowd"].reserve(int(applications[-1]) + 1)
        users = read_users(tables["profile"], rows)
        crowds = read_crowds(tables["crowd"], applications)
        amounts = np.stack(
            [closed.numbers[name][active] for name in ("requests", "tokens", "cost_nano")]
        ).astype(np.float64)
        stamp = closed.bucket + 1
        kept = self._share_kept(users, stamp)
        around = crowds.of(crowd_of)
        verdict = judged(users, around, kept, amounts, stamp, self._settings)
        untold = is_open(users) & _untold(amounts, crowd_of)
        if untold.any():
            verdict = unjudged(verdict, users, untold)
        findings: list[Finding] = []
        for place, metric in np.argwhere(verdict.telling.T).tolist():
            at = (metric, place)
            came = {"amount": float(amounts[at]), "kept": float(kept[place])}
            findings.append(
                self._finding(closed, int(rows[place]), at, users, around, verdict, came)
            )
        write(tables["profile"], rows, users_learnt(users, around, verdict, stamp, self._settings))
        write(
            tables["crowd"],
            applications,
            crowds_learnt(crowds, crowd_of, users, verdict, stamp, self._settings),
        )
        return findings, self._changes(closed, rows, verdict)

    def _judged_idle(self, tables: Tables, closed: Closed) -> list[Change]:
        """Open signals of users without a request in the bucket."""
        table = tables["profile"]
        table.reserve(int(closed.rows.max()) + 1)
        is_told = (table.rows["told"][closed.rows] > 0).any(axis=1)
        idle = np.flatnonzero((closed.numbers["requests"] == 0) & is_told)
        if not len(idle):
            return []
        rows = closed.rows[idle]
        tables["crowd"].reserve(int(closed.applications.max()) + 1)
        users = read_users(table, rows)
        around = read_crowds(tables["crowd"], closed.applications[idle])
        stamp = closed.bucket + 1
        nothing = np.zeros_like(users.volume)
        verdict = judged(
            users, around, self._share_kept(users, stamp), nothing, stamp, self._settings
        )
        busy = np.isin(
            closed.applications[idle], closed.applications[closed.numbers["requests"] > 0]
        )
        over = verdict.normal & busy
        for name in ("since", "told"):
            table.rows[name][rows] = np.where(over, 0, getattr(users, name)).T
        table.touch(rows)
        return self._changes(
            closed, rows, replace(verdict, normal=over, outlived=np.zeros_like(over))
        ) + [
            Change(
                Signal(Kind.USER, int(rows[place]), METRICS[metric]),
                SignalStatus.NO_DATA,
                "no data of the application's users",
                int(users.last[place]) * (closed.end - closed.start),
            )
            for place, metric in np.argwhere(
                (is_open(users) & ~over & self._lapsed(users, stamp)).T
            ).tolist()
        ]

    def _lapsed(self, users: Users, stamp: int) -> npt.NDArray[np.bool_]:
        """Who has had no request for as long as is told, as it is looked at now and then."""
        gap = stamp - users.last
        return np.asarray(
            (gap >= self._no_data_buckets) & (gap < self._no_data_buckets + WATCHED_EVERY)
        )

    def _share_kept(self, users: Users, stamp: int) -> Float64s:
        oldest = len(self._kept) - 1
        return self._kept[np.where(users.last > 0, np.clip(stamp - users.last, 0, oldest), oldest)]

    def _changes(self, closed: Closed, rows: Int64s, verdict: Judged) -> list[Change]:
        made = []
        for place, metric in np.argwhere((verdict.normal | verdict.outlived).T).tolist():
            at, name = (metric, place), METRICS[metric]
            volume = quantity(name, float(verdict.volume[at]))
            if verdict.outlived[at]:
                status, reason = (
                    SignalStatus.NEW_LEVEL,
                    f"{name} of the user are still so, at {volume}; taken as usual",
                )
            else:
                status, reason = (
                    SignalStatus.NORMAL,
                    f"{name} of the user are normal again, at {volume}",
                )
            made.append(Change(Signal(Kind.USER, int(rows[place]), name), status, reason))
        return made

    def watched(self, tables: Tables) -> Int64s:
        """Users with an open signal."""
        return np.flatnonzero((tables["profile"].rows["told"] > 0).any(axis=1))

    def open_signals(self, tables: Tables, rows: Int64s | None = None) -> Sequence[Signal]:
        """Anomalies that last, and levels that were taken as new."""
        table = tables["profile"].rows
        chosen = np.arange(len(table)) if rows is None else rows[rows < len(table)]
        return [
            Signal(Kind.USER, int(chosen[place]), METRICS[metric])
            for place, metric in np.argwhere(table["told"][chosen] > 0).tolist()
        ]

    def judges(self, signal: Signal, name: tuple[str, ...]) -> bool:
        """All of them, if anything."""
        return self._settings.enabled

    def forget(self, tables: Tables, signals: Sequence[Signal]) -> None:
        """What is learnt stays; that the signals are open does not."""
        table = tables["profile"]
        for signal in signals:
            for name in ("since", "told"):
                table.rows[name][signal.row, METRICS.index(signal.metric)] = 0
            table.touch(np.array([signal.row]))

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
        score, effect, volume = (
            float(verdict.score[at]),
            float(verdict.effect[at]),
            float(verdict.volume[at]),
        )
        usual = float(np.exp(verdict.size[at] - effect))
        size = effect / float(np.log(self._settings.least_ratio))
        minutes = self._settings.window_buckets * (closed.end - closed.start) / 60e6
        whose = "the application's users make likely" if newcomer else "is usual for this user"
        numbers = came | {"volume_before": float(users.volume[at])}
        numbers |= {
            name: float(getattr(users, name)[at]) for name in ("centre", "spread", "learnt")
        }
        numbers |= {
            f"crowd_{name}": float(getattr(crowds, name)[at])
            for name in ("centre", "spread", "learnt")
        }
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
            first=bool(verdict.first[at]),
        )


def _untold(amounts: Float64s, crowd_of: Int64s) -> npt.NDArray[np.bool_]:
    """Where nobody of the user's crowd has any of the metric, though there are requests: it is not
    known, or not told any more. Shape (3, n).
    """
    sums = np.stack([np.bincount(crowd_of, each) for each in amounts])
    return np.asarray(sums[:, crowd_of] == 0)
