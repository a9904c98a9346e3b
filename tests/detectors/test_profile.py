"""User profiles: who is told, against whom they are compared, and how long."""

from dataclasses import replace

import numpy as np
import pytest

from agents.detectors.contract import Change, Closed, Finding
from agents.detectors.profile.detector import ProfileDetector
from agents.detectors.profile.judging import expected
from agents.detectors.settings import Profile
from schemas.records.anomalies import Direction
from streams.state.tables import Table
from tests.detectors.users import closed_users

USERS = 40


def ordinary(bucket: int, rng: np.random.Generator, **more: int) -> Closed:
    """Forty users about once a minute with about a thousand tokens; `more` is for user 0: requests,
    and tokens for each.
    """
    requests = rng.poisson(1 / 6, USERS).astype(np.int64)
    tokens = requests * (1000 * np.exp(rng.normal(0, 0.4, USERS))).astype(np.int64)
    if more:
        requests[0] = more["requests"]
        tokens[0] = more["requests"] * more["tokens"]
    return closed_users(bucket, requests, tokens, tokens * 2_000)


class Run:
    """One detector over ordinary buckets with exceptions."""

    def __init__(self, settings: Profile | None = None) -> None:
        self.detector = ProfileDetector(settings or Profile())
        self.tables = {spec.name: Table(spec) for _, spec in self.detector.tables}
        self.rng = np.random.default_rng(8)
        self.bucket = 0
        self.found: list[tuple[int, Finding]] = []
        self.changes: list[tuple[int, Change]] = []
        self.tells_cost = True

    def over(self, buckets: int, **more: int) -> "Run":
        """With so many more buckets."""
        for _ in range(buckets):
            closed = ordinary(self.bucket, self.rng, **more)
            if not self.tells_cost:
                closed = replace(
                    closed, numbers={**closed.numbers, "cost_nano": np.zeros(USERS, np.int64)}
                )
            said = self.detector.at_close(self.tables, closed)
            self.found += [(self.bucket, finding) for finding in said.findings]
            self.changes += [(self.bucket, change) for change in said.changes]
            self.bucket += 1
        return self

    def told(self, metric: str) -> list[int]:
        """Buckets in which user 0 was told for the metric."""
        return [
            bucket
            for bucket, finding in self.found
            if finding.row == 0 and finding.metric == metric
        ]

    def ended(self, metric: str) -> list[int]:
        """Buckets in which a signal of user 0 about the metric ended."""
        changes = [
            (at, one)
            for at, one in self.changes
            if (one.signal.row, one.signal.metric) == (0, metric)
        ]
        return [at for at, one in changes if one.status.is_end]


def test_ordinary_users_are_not_told() -> None:
    """Two hours of forty users."""
    assert Run().over(720).found == []


def test_prompts_grown_fifteenfold_are_told_within_three_buckets() -> None:
    """Tokens and cost, not requests; by what the user did before; above."""
    found = Run().over(300).over(3, requests=1, tokens=15_000)
    assert found.told("tokens")
    assert found.told("cost")
    assert not found.told("requests")
    (_, first) = found.found[0]
    assert first.direction is Direction.ABOVE
    assert dict(first.evidence)["newcomer"] == 0.0
    assert first.expected is not None
    assert first.observed > 5 * first.expected


def test_many_requests_are_told() -> None:
    """Of the usual size, but far too many."""
    assert Run().over(300).over(3, requests=30, tokens=1000).told("requests")


def test_one_huge_request_alone_is_not_told() -> None:
    """Whatever one bucket holds, it takes two."""
    assert Run().over(300).over(1, requests=1, tokens=100_000_000).over(30).found == []


def test_who_was_always_heavy_is_told_at_most_as_a_newcomer() -> None:
    """A service account among people: fifty times their requests, from the first day."""
    found = Run().over(400, requests=8, tokens=1000)
    assert not [bucket for bucket in found.told("requests") if bucket > 60]


def test_an_anomalous_user_is_told_again_only_every_repeat() -> None:
    """Twelve buckets lie between two findings, and what is anomalous is not learnt."""
    told = Run().over(300).over(60, requests=30, tokens=1000).told("requests")
    assert np.diff(told).tolist() == [12] * (len(told) - 1)
    assert len(told) >= 4


def test_what_is_anomalous_is_not_learnt() -> None:
    """Neither by the user's profile, past the buckets before it was told, nor by the crowd's."""
    run = Run().over(300).over(5, requests=30, tokens=1000)
    usual = run.tables["profile"].rows["centre"][0].copy()
    run.over(60, requests=30, tokens=1000)
    assert run.tables["profile"].rows["centre"][0].tobytes() == usual.tobytes()
    assert run.tables["crowd"].rows["centre"][0, 0] < 2.5


@pytest.mark.parametrize("give_in", [2000, 20], ids=["anomaly", "level"])
def test_cost_that_nobody_is_told_of_any_more_ends_nothing(give_in: int) -> None:
    """The producer stops sending it: the user's signal stays as it was, and ends when the cost
    comes again and is normal.
    """
    run = Run(Profile(give_in_buckets=give_in)).over(300).over(40, requests=2, tokens=40_000)
    usual = run.tables["profile"].rows[["volume", "since", "told"]][0].copy()
    run.tells_cost = False
    ends = run.over(400, requests=2, tokens=40_000).ended("cost")
    assert ends == []
    for name in ("volume", "since", "told"):
        assert run.tables["profile"].rows[name][0, 2] == usual[name][2]
    run.tells_cost = True
    (end,) = run.over(300, requests=1, tokens=1000).ended("cost")
    assert end >= 740


def test_the_crowd_lightens_what_is_expected_of_newcomers_only() -> None:
    """Who has a past and is heavier than the crowd is expected to be as heavy as ever; a lighter
    one is given the benefit.
    """

    def mean(centre: float, newcomer: bool) -> float:
        given = (np.array([value]) for value in (centre, 0.4, 6.0, 5.0, 1.5))
        return float(expected(*given, newcomer=np.array([newcomer]))[0][0])

    assert mean(9.0, newcomer=False) == 9.0
    assert 5.0 < mean(9.0, newcomer=True) < 9.0
    assert 2.0 < mean(2.0, newcomer=False) < 5.0


def test_a_user_who_stays_so_is_taken_as_they_are() -> None:
    """After `give_in_buckets` there is no more to tell."""
    told = (
        Run(Profile(give_in_buckets=50))
        .over(300)
        .over(250, requests=30, tokens=1000)
        .told("requests")
    )
    assert told
    assert max(told) < 300 + 60


def test_users_without_requests_are_not_touched() -> None:
    """What a close writes is the rows of the active users and of their application."""
    run = Run().over(50)
    for table in run.tables.values():
        list(table.changes())
    before = run.tables["profile"].rows.copy()
    closed = ordinary(50, run.rng)
    run.detector.at_close(run.tables, closed)
    idle = closed.numbers["requests"] == 0
    after = run.tables["profile"].rows
    assert after[:USERS][idle].tobytes() == before[:USERS][idle].tobytes()
    assert after[:USERS][~idle].tobytes() != before[:USERS][~idle].tobytes()


def test_a_crowd_is_its_own_application() -> None:
    """What is much in one application is little in the other: each has its own measure."""
    detector = ProfileDetector(Profile())
    tables = {spec.name: Table(spec) for _, spec in detector.tables}
    rng = np.random.default_rng(4)
    found: list[Finding] = []
    for bucket in range(300):
        requests = rng.poisson(0.5, USERS).astype(np.int64)
        tokens = requests * np.where(np.arange(USERS) % 2, 100_000, 100)
        found += detector.at_close(
            tables, closed_users(bucket, requests, tokens, tokens, applications=2)
        ).findings
    assert found == []
    assert tables["crowd"].rows["centre"][1, 1] - tables["crowd"].rows["centre"][0, 1] > 5


def test_only_enough_of_a_crowd_judges() -> None:
    """In an application that nobody knows yet, nobody is told."""
    run = Run().over(5)
    run.over(20, requests=100, tokens=100_000)
    assert [bucket for bucket in run.told("tokens") if bucket < 8] == []
