"""What is remembered of a user, and of the users of an application, between buckets."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s, Int64s
from streams.state.tables import Table

METRICS: Final = ("requests", "tokens", "cost")

_USER_REALS: Final = ("volume", "centre", "spread", "learnt")
_USER_STAMPS: Final = ("since", "told", "first", "last")

USER_ROW: Final = np.dtype(
    [(name, "<f4", (3,)) for name in _USER_REALS]
    + [("since", "<u4", (3,)), ("told", "<u4", (3,))]
    + [("first", "<u4"), ("last", "<u4")]
)
"""80 bytes. By metric: `volume`, recent amount, every bucket's share falling off exponentially, as
of bucket `last`; `centre` and `spread`, mean and variance of its logarithm over buckets with
requests; `learnt`, buckets behind them; `since` and `told`, one more than the bucket in which the
present anomaly began and was last told, 0 for none; `told` alone: the bucket in which it was taken
as the new level. `first` and `last`: one more than the first and the newest bucket with requests.
"""

CROWD_ROW: Final = np.dtype(
    [(name, "<f4", (3,)) for name in ("learnt", "centre", "spread", "own_spread")]
)
"""Of all users of an application, by metric: `learnt`, users and buckets behind the rest; `centre`
and `spread`, mean and variance of the logarithm of users' volumes; `own_spread`, mean of the users'
own spreads.
"""


@dataclass(slots=True)
class Users:
    """State of n users in double precision; arrays of shape (3, n) by metric, or (n,)."""

    volume: Float64s
    centre: Float64s
    spread: Float64s
    learnt: Float64s
    since: Int64s
    told: Int64s
    first: Int64s
    last: Int64s


def is_open(users: Users) -> npt.NDArray[np.bool_]:
    """Where a signal is open; shape (3, n)."""
    return np.asarray(users.told > 0)


@dataclass(slots=True)
class Crowds:
    """State of n applications' users; arrays of shape (3, n)."""

    learnt: Float64s
    centre: Float64s
    spread: Float64s
    own_spread: Float64s

    def of(self, places: Int64s) -> "Crowds":
        """Those at these places."""
        return Crowds(*(getattr(self, field.name)[:, places] for field in fields(self)))


def read_users(table: Table, rows: Int64s) -> Users:
    """The state of these rows."""
    taken = table.rows[rows]
    volume, centre, spread, learnt = (
        taken[name].T.astype(np.float64, order="C") for name in _USER_REALS
    )
    since, told, first, last = (taken[name].T.astype(np.int64, order="C") for name in _USER_STAMPS)
    return Users(volume, centre, spread, learnt, since, told, first, last)


def read_crowds(table: Table, rows: Int64s) -> Crowds:
    """The state of these rows."""
    taken = table.rows[rows]
    return Crowds(*(taken[field.name].T.astype(np.float64, order="C") for field in fields(Crowds)))


def write(table: Table, rows: Int64s, state: Users | Crowds) -> None:
    """Puts the state back, rounded to single precision."""
    out = np.empty(len(rows), table.spec.dtype)
    for field in fields(state):
        out[field.name] = getattr(state, field.name).T
    table.rows[rows] = out
    table.touch(rows)
