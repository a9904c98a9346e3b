"""What every store promises, held to by each of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.store.port import BadSearch, Page, Search, Store, Subject
from schemas.documents import Document, Kind, StoreRefused, StoreUnavailable
from schemas.records.anomalies import Severity
from schemas.records.incidents import IncidentState
from schemas.records.notifications import NotificationOutcome
from tests.harness.store_documents import (
    SECOND,
    START,
    aggregate,
    anomaly,
    incident,
    notification,
    of,
)
from tests.store.stores import IMPATIENT_S, ElasticPlace, Place, SqlitePlace, started

DAY = 86_400 * SECOND


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.system)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A place of its own for each test."""
    made: Place
    if request.param == "embedded":
        made = SqlitePlace(tmp_path)
    else:
        made = await ElasticPlace.open(request.getfixturevalue("elastic_url"))
    yield made
    await made.close()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """A store that works."""
    async with started(place.store()) as running:
        yield running


async def _all(
    place: Place, store: Store, kind: Kind, tenant: str = "acme", limit: int = 7
) -> list[Document]:
    """Everything of a kind, page by page."""
    place.visible()
    found: list[Document] = []
    page = Page([], "")
    cursor = None
    while page.cursor is not None:
        page = await store.search(Search(kind, tenant, limit=limit, cursor=cursor))
        found += page.documents
        cursor = page.cursor
    return found


@pytest.mark.parametrize(
    "given",
    [
        of(Kind.ANOMALY, anomaly(1, expected=None)),
        of(Kind.INCIDENT, incident(1, 3)),
        of(
            Kind.NOTIFICATION,
            notification(1, body="<script>\u0000\n" * 3000, detail="\N{BELL}\u202e"),
        ),
        of(Kind.AGGREGATE, aggregate(1, latency_expected=float("nan"), cost_nano=float("inf"))),
    ],
    ids=lambda given: given.kind,
)
async def test_a_document_comes_back_as_it_was_given(
    place: Place, store: Store, given: Document
) -> None:
    """Every field, times to the microsecond, markup and control characters untouched."""
    assert await store.write([given]) == []
    place.visible()
    assert await store.get(given.kind, "acme", given.id) == given
    assert await _all(place, store, given.kind) == [given]


async def test_a_document_given_twice_is_there_once(place: Place, store: Store) -> None:
    """Within one call, and in the next; the first stays as it was."""
    one, other = of(Kind.ANOMALY, anomaly(1)), of(Kind.ANOMALY, anomaly(2))
    assert await store.write([one, other, one]) == []
    assert await store.write([other, replace(one, body={**one.body, "score": 9.0})]) == []
    assert await _all(place, store, Kind.ANOMALY) == [other, one]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_the_newest_revision_of_an_incident_wins(
    place: Place, store: Store, order: tuple[int, ...]
) -> None:
    """In whichever order they come, in calls of their own or in one."""
    states = {revision: of(Kind.INCIDENT, incident(1, revision)) for revision in order}
    for revision in order:
        assert await store.write([states[revision]]) == []
    others = [of(Kind.INCIDENT, incident(2, revision)) for revision in order]
    assert await store.write(others) == []
    found = await _all(place, store, Kind.INCIDENT)
    assert [(document.revision, document.body["title"]) for document in found] == [
        (3, "revision 3")
    ] * 2


async def test_a_poison_document_is_named_and_the_good_ones_are_kept(
    place: Place, store: Store
) -> None:
    """A field that the schema does not know, and one of another type: each is refused alone, with a
    reason that names the field.
    """
    good = [of(Kind.ANOMALY, anomaly(number)) for number in range(4)]
    strange = replace(good[1], id="strange", body={**good[1].body, "surprise": 1})
    mistyped = replace(good[2], id="mistyped", body={**good[2].body, "score": {"very": "high"}})
    refused = await store.write([good[0], strange, good[1], mistyped, good[2], good[3]])
    assert [each.index for each in refused] == [1, 3]
    assert "surprise" in refused[0].reason
    assert "score" in refused[1].reason
    assert await _all(place, store, Kind.ANOMALY) == good[::-1]


async def test_a_store_that_is_down_is_waited_for(place: Place, store: Store) -> None:
    """A write fails with one line at its deadline; another one, in patience, is done as soon as the
    store is back; nothing is there twice.
    """
    one, other = of(Kind.ANOMALY, anomaly(1)), of(Kind.ANOMALY, anomaly(2))
    await store.write([one])
    async with started(place.store(IMPATIENT_S)) as impatient:
        async with place.down():
            with pytest.raises(StoreUnavailable) as told:
                await impatient.write([one, other])
            assert "\n" not in str(told.value)
            patient = asyncio.create_task(store.write([one, other]))
            # It has failed at least once by the time that the impatient one gives up again.
            with pytest.raises(StoreUnavailable):
                await impatient.write([other])
            assert not patient.done()
        assert await patient == []
        assert await impatient.write([one, other]) == []
    assert await _all(place, store, Kind.ANOMALY) == [other, one]


async def test_a_store_that_takes_nothing_is_waited_for(place: Place) -> None:
    """Read-only, as after a disk was nearly full: no document is refused for that, and all are
    written once it is over.
    """
    one, other = of(Kind.ANOMALY, anomaly(1)), of(Kind.ANOMALY, anomaly(2))
    async with started(place.store(IMPATIENT_S)) as impatient:
        await impatient.write([one])
        async with place.read_only():
            with pytest.raises(StoreUnavailable):
                await impatient.write([one, other])
        assert await impatient.write([one, other]) == []
        assert await _all(place, impatient, Kind.ANOMALY) == [other, one]


async def test_a_store_that_does_not_let_us_in_is_refused_at_the_start(place: Place) -> None:
    """Wrong credentials, or a path that cannot be opened: one line that names the setting, and no
    waiting until the deadline.
    """
    with pytest.raises(StoreRefused, match=r"check store\.") as told:
        async with started(place.refused()):
            pass
    assert "\n" not in str(told.value)
    assert "wrong" not in str(told.value)


async def test_a_store_of_another_version_is_not_touched(place: Place) -> None:
    """One line that names both versions; the one that is there stays as it is."""
    async with started(place.store()) as store:
        await store.write([of(Kind.INCIDENT, incident(1, 1))])
    place.of_another_version()
    for _ in range(2):
        with pytest.raises(StoreRefused, match="version 9, this program keeps version 1"):
            async with started(place.store()):
                pass


async def test_it_starts_again_on_what_it_holds(place: Place) -> None:
    """The same version is no other one."""
    given = of(Kind.INCIDENT, incident(1, 1))
    async with started(place.store()) as store:
        await store.write([given])
    async with started(place.store()) as store:
        assert await _all(place, store, Kind.INCIDENT) == [given]


async def test_pages_neither_repeat_nor_hide_while_documents_are_added(
    place: Place, store: Store
) -> None:
    """What was there when the first page was read is seen exactly once, also where many have the
    same time; what is newer is not seen.
    """
    there = [
        of(Kind.ANOMALY, anomaly(number, event_time=START + number // 5 * SECOND))
        for number in range(23)
    ]
    await store.write(there)
    place.visible()
    seen, cursor = [], None
    for round_ in range(10):
        page = await store.search(Search(Kind.ANOMALY, "acme", limit=4, cursor=cursor))
        seen += [document.id for document in page.documents]
        assert len(page.documents) <= 4
        if (cursor := page.cursor) is None:
            break
        newer = [of(Kind.ANOMALY, anomaly(1000 + round_ * 10 + number)) for number in range(3)]
        await store.write(newer)
        place.visible()
    assert sorted(seen) == sorted(document.id for document in there)
    assert [there[int(id, 16)].time for id in seen] == sorted(
        (document.time for document in there), reverse=True
    )


async def test_tenants_see_nothing_of_each_other(place: Place, store: Store) -> None:
    """The same id in two tenants is two documents; every question is answered for the one that
    asks.
    """
    ours, theirs = (
        of(Kind.ANOMALY, anomaly(1)),
        of(Kind.ANOMALY, anomaly(1, "evil", reason="theirs")),
    )
    buckets = [
        of(Kind.AGGREGATE, aggregate(0)),
        of(Kind.AGGREGATE, aggregate(0, "evil", latency_observed=666.0)),
    ]
    only_theirs = of(Kind.ANOMALY, anomaly(2, "evil"))
    assert await store.write([theirs, ours, only_theirs, *buckets]) == []
    assert await _all(place, store, Kind.ANOMALY) == [ours]
    assert await _all(place, store, Kind.ANOMALY, "evil") == [only_theirs, theirs]
    assert await _all(place, store, Kind.ANOMALY, "") == []
    assert await store.get(Kind.ANOMALY, "acme", only_theirs.id) is None
    assert await store.get(Kind.ANOMALY, "acme", ours.id) == ours
    points = await store.series("acme", "shop", "heron", "latency", 0, START * 2)
    assert [point.observed for point in points] == [0.0]
    cursor_of_theirs = (await store.search(Search(Kind.ANOMALY, "evil", limit=1))).cursor
    through = await store.search(Search(Kind.ANOMALY, "acme", cursor=cursor_of_theirs))
    assert {document.tenant for document in through.documents} <= {"acme"}


async def test_everything_that_is_given_must_hold(place: Place, store: Store) -> None:
    """Time from and before, application, any of some severities, further fields."""
    made = [
        of(
            Kind.ANOMALY,
            anomaly(
                number,
                application="shop" if number % 2 else "bot",
                severity=list(Severity)[number % 5],
            ),
        )
        for number in range(20)
    ]
    resolved = [
        of(Kind.INCIDENT, incident(1, 1)),
        of(Kind.INCIDENT, incident(2, 1, state=IncidentState.RESOLVED)),
    ]
    told = [of(Kind.NOTIFICATION, notification(number)) for number in range(6)]
    await store.write([*made, *resolved, *told])
    place.visible()

    async def ids(search: Search) -> list[int]:
        return [
            int(str(document.body["id"]), 16) for document in (await store.search(search)).documents
        ]

    base = Search(Kind.ANOMALY, "acme")
    assert await ids(replace(base, since=made[5].time, until=made[8].time)) == [7, 6, 5]
    assert await ids(replace(base, application="bot", since=made[15].time)) == [18, 16]
    assert await ids(
        replace(base, severities=frozenset({Severity.HIGH, Severity.CRITICAL}), until=made[10].time)
    ) == [
        9,
        8,
        4,
        3,
    ]
    assert await ids(replace(base, equal={"model": "heron", "metric": "cost"})) == []
    assert await ids(Search(Kind.INCIDENT, "acme", equal={"state": "open"})) == [1]
    assert await ids(Search(Kind.NOTIFICATION, "acme", equal={"incident_id": f"{1:032x}"})) == [
        4,
        1,
    ]


@pytest.mark.parametrize(
    "search",
    [
        Search(Kind.ANOMALY, "acme", limit=0),
        Search(Kind.ANOMALY, "acme", limit=100_000),
        Search(Kind.ANOMALY, "acme", cursor="none of ours"),
        Search(Kind.ANOMALY, "acme", cursor="WzFd"),
        Search(Kind.ANOMALY, "acme", equal={"no_such": "x"}),
        Search(Kind.ANOMALY, "acme", equal={"score": "1"}),
    ],
)
async def test_a_search_that_makes_no_sense_is_told_so(store: Store, search: Search) -> None:
    """It is the asker's fault, in words, whichever store is asked."""
    with pytest.raises(BadSearch):
        await store.search(search)


async def test_a_series_is_its_buckets_in_order(place: Place, store: Store) -> None:
    """Of one metric of one subject, within the time asked for; what is not known is None."""
    made = [
        aggregate(bucket, latency_expected=float("nan") if bucket == 3 else 1.0)
        for bucket in range(6)
    ]
    await store.write([of(Kind.AGGREGATE, each) for each in (*made, aggregate(3, model="other"))])
    place.visible()
    points = await store.series(
        "acme", "shop", "heron", "latency", made[1].window_start, made[5].window_start
    )
    assert [point.window_start for point in points] == [each.window_start for each in made[1:5]]
    assert [point.observed for point in points] == [1.0, 2.0, 3.0, 4.0]
    assert [point.expected for point in points] == [1.0, 1.0, None, 1.0]
    assert points[0].window_end == made[1].window_end
    with pytest.raises(BadSearch):
        await store.series("acme", "shop", "heron", "latency_us) --", 0, START * 2)


async def test_tenants_and_their_subjects_are_listed_by_name(place: Place, store: Store) -> None:
    """A tenant by anything it has; a subject by its aggregates, each once, with its newest
    bucket.
    """
    assert (await store.tenants(), await store.subjects("acme")) == ([], [])
    given = [
        of(Kind.AGGREGATE, aggregate(bucket, model=model))
        for bucket in range(3)
        for model in ("heron", "egret")
    ]
    given.append(of(Kind.AGGREGATE, aggregate(7, application="bar")))
    given.append(of(Kind.AGGREGATE, aggregate(1, "other")))
    given += [of(Kind.ANOMALY, anomaly(1, "third")), of(Kind.INCIDENT, incident(1, 1, "fourth"))]
    assert await store.write(given) == []
    place.visible()
    assert await store.tenants() == ["acme", "fourth", "other", "third"]
    last = START + 20 * SECOND
    assert await store.subjects("acme") == [
        Subject("bar", "heron", START + 70 * SECOND),
        Subject("shop", "egret", last),
        Subject("shop", "heron", last),
    ]
    assert await store.subjects("third") == []


async def test_what_is_too_old_is_forgotten_and_nothing_else(place: Place, store: Store) -> None:
    """By kind and time; what is younger stays, and so does everything of another kind."""
    old = [of(Kind.AGGREGATE, aggregate(bucket)) for bucket in range(3)]
    young = [of(Kind.AGGREGATE, aggregate(bucket + 400 * 8640)) for bucket in range(3)]
    other = of(Kind.ANOMALY, anomaly(1))
    await store.write([*old, *young, other])
    place.visible()
    assert await store.purge(Kind.AGGREGATE, old[0].time) == 0
    assert await store.purge(Kind.AGGREGATE, young[0].time) == 3
    assert await store.purge(Kind.AGGREGATE, young[0].time) == 0
    assert await _all(place, store, Kind.AGGREGATE) == young[::-1]
    assert await _all(place, store, Kind.ANOMALY) == [other]


async def test_each_outcome_of_a_message_is_a_document(place: Place, store: Store) -> None:
    """All carry the message's id; none is taken for another."""
    decided = notification(1)
    delivered = replace(
        decided, outcome=NotificationOutcome.DELIVERED, attempt=1, at=decided.at + SECOND
    )
    made = [of(Kind.NOTIFICATION, each) for each in (decided, delivered)]
    await store.write([*made, *made])
    assert await _all(place, store, Kind.NOTIFICATION) == made[::-1]


async def test_a_bucket_of_several_lanes_is_one_point(place: Place, store: Store) -> None:
    """What lanes counted adds up to what one would have: rates are sums, shares are weighted by
    events, of latencies the logarithms are; what one lane does not expect yet, nobody expects; and
    where one had no cost at all, what the other had is the whole.
    """
    rates = (
        {"request_rate_observed": rate, "error_rate_observed": share}
        for rate, share in ((3.0, 0.1), (1.0, 0.5))
    )
    costs = ({"cost_observed": cost} for cost in (400.0, float("nan")))
    latencies = (
        {"latency_observed": seen, "latency_expected": usual}
        for seen, usual in ((2.0, 1.0), (6.0, 5.0))
    )
    two = [
        aggregate(1, lane=lane, requests=count, **one, **other, **more)
        for lane, count, one, other, more in zip(
            (0, 2), (30.0, 10.0), rates, costs, latencies, strict=True
        )
    ]
    beginner = (
        aggregate(2, lane=0, requests=1.0),
        aggregate(2, lane=1, requests=1.0, latency_expected=float("nan")),
    )
    await store.write([of(Kind.AGGREGATE, each) for each in (aggregate(0), *two, *beginner)])
    place.visible()
    latency = await store.series("acme", "shop", "heron", "latency", 0, START * 2)
    rate = await store.series("acme", "shop", "heron", "request_rate", 0, START * 2)
    assert [(point.observed, point.expected, point.lanes) for point in latency] == [
        (0.0, 0.0, 1),
        (pytest.approx(2.0**0.75 * 6.0**0.25), pytest.approx(5.0**0.25), 2),
        (pytest.approx(2.0), None, 2),
    ]
    assert [point.observed for point in rate] == [0.0, 4.0, 4.0]
    for metric, whole in (("error_rate", 0.2), ("cost", 300.0)):
        points = await store.series("acme", "shop", "heron", metric, 0, START * 2)
        assert points[1].observed == pytest.approx(whole)


async def test_a_lane_without_an_event_that_a_metric_is_about_takes_nothing_from_the_others(
    place: Place, store: Store
) -> None:
    """Where none of its events had a first token, it says nothing of it, and the other lane's is
    the whole.
    """
    none = float("nan")
    silent = {
        "time_to_first_token_observed": none,
        "time_to_first_token_expected": none,
        "first_token_count": 0.0,
    }
    await store.write(
        [
            of(Kind.AGGREGATE, each)
            for each in (aggregate(1, lane=0), aggregate(1, lane=1, **silent))
        ]
    )
    place.visible()
    (point,) = await store.series("acme", "shop", "heron", "time_to_first_token", 0, START * 2)
    assert (point.observed, point.expected, point.lanes) == (1.0, 1.0, 2)


async def test_points_are_counted_and_not_the_lanes_parts(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more than there may be, the newest, each whole, also where a page of the store ends within
    a bucket.
    """
    for module in ("sqlite", "elasticsearch"):
        monkeypatch.setattr(f"connectors.store.{module}.store.MAX_POINTS", 4)
    made = [
        aggregate(bucket, lane=lane, request_rate_observed=1.0)
        for bucket in range(9)
        for lane in range(3)
    ]
    await store.write([of(Kind.AGGREGATE, each) for each in made])
    place.visible()
    points = await store.series("acme", "shop", "heron", "request_rate", 0, START * 2)
    assert [(point.window_start, point.observed, point.lanes) for point in points] == [
        (aggregate(bucket).window_start, 3.0, 3) for bucket in range(5, 9)
    ]


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        ("latency", {"requests": float("nan")}),
        ("time_to_first_token", {"first_token_count": float("nan")}),
        ("tokens", {"tokens_observed": 1e308, "requests": 1.0}),
        ("tokens", {"tokens_observed": 1e308, "requests": 30.0}),
        ("latency", {"latency_observed": 1.0, "requests": 1e308}),
        ("request_rate", {"request_rate_observed": 1e308}),
    ],
)
async def test_a_bucket_that_cannot_be_added_up_has_no_value(
    place: Place, store: Store, metric: str, wrong: dict[str, float]
) -> None:
    """Where lanes do not say of how many events, or the sum is no number. The other buckets of the
    chart are shown.
    """
    events = {"requests": 3.0, "first_token_count": 3.0}
    good = [aggregate(bucket, lane=lane, **events) for bucket in (0, 2) for lane in (0, 1)]
    bad = [aggregate(1, lane=lane, **(events | wrong)) for lane in (0, 1)]
    # One lane that does not say of how many is enough.
    bad += [aggregate(1, lane=2, **events)]
    await store.write([of(Kind.AGGREGATE, each) for each in (*good, *bad)])
    place.visible()
    points = await store.series("acme", "shop", "heron", metric, 0, START * 2)
    assert [(point.window_start - START, point.lanes) for point in points] == [
        (aggregate(bucket).window_start - START, lanes) for bucket, lanes in enumerate((2, 3, 2))
    ]
    first, second, third = (point.observed for point in points)
    assert second is None
    assert None not in (first, third)
