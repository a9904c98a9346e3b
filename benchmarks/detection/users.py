"""Row about users: single users' bursts among thousands, and false alarms."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from benchmarks.detection.playing import label, play
from benchmarks.detection.rows import Plan, Row
from benchmarks.detection.worlds import DAY, HOUR, Burst, Series, World
from tests.harness.showing import Json

_DAYS: Final = 3
_USERS: Final = 1_000
_APPLICATIONS: Final = 3
_FROM: Final = 1.5
"""Days before the first burst."""
_LENGTH: Final = HOUR // 2
_KINDS: Final = {
    "user's rate x5": (5.0, 1.0),
    "user's rate x20": (20.0, 1.0),
    "user's prompts x20": (1.0, 20.0),
}


def user_rows(plan: Plan) -> Iterator[Row]:
    """Half an hour of one active user at a multiple of what such a user does."""
    days = max(plan.days(_DAYS), 2.0)
    series = [Series(f"users {place}", 2.0, users=_USERS) for place in range(_APPLICATIONS)]
    world = World(series, days, plan.seed + 400)
    labels, random = [], np.random.default_rng([plan.seed, 9])
    # What one of the more active users does: a fiftieth of the calls.
    usual = 2.0 / 50
    for place, one in enumerate(series):
        at = int(_FROM * DAY) + 60 * place
        while at + _LENGTH + HOUR // 2 < world.buckets:
            name = list(_KINDS)[int(random.integers(len(_KINDS)))]
            rate, prompts = _KINDS[name]
            user = f"{one.application}/u{int(random.integers(3, 40))}"
            end = at + _LENGTH
            world.bursts.append(Burst(place, user, usual * rate, at, end, prompts))
            labels.append(label(one.application, name, at, end, user=user))
            at = end + int(random.integers(HOUR // 2, HOUR))
    played = play(world.tables(), labels)
    found: dict[str, list[bool]] = defaultdict(list)
    for match in played.matches.labels:
        by_user = match.found_by is not None and match.found_by.user is not None
        found[str(match.label.given["kind"])].append(by_user)
    false = [
        one for one, is_matched in played.matches.incidents if not is_matched and one.opened.users
    ]
    per_day = len(false) / (days * _APPLICATIONS * _USERS / 10_000)
    numbers: dict[str, Json] = {
        **{f"found, {name}": [sum(hits), len(hits)] for name, hits in sorted(found.items())},
        "false_per_10k_users_and_day": round(per_day, 2),
    }
    measures = f"bursts of single users, {_APPLICATIONS * _USERS:,} users"
    yield Row.of("users", measures, plan.seed, len(series), played, numbers)
