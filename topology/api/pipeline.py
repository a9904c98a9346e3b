"""How the pipeline does: what the workers say of themselves on `/metrics`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from agents.alerting.reasons import Attempt
from streams.admin.inspection import INPUTS
from streams.client.name_lookups import NameLookups
from topology.api import judging, queries
from topology.api.settings import ApiSettings
from topology.api.shapes import Lane, Pipeline, Totals, Worker

TIMEOUT_S: Final = 2.0
"""Of one worker's whole answer."""
KEPT_S: Final = 1.0
"""For so long the same answer is given to everybody: a hundred open pages ask the workers no more
often than one.
"""
_MOST_BYTES: Final = 4_000_000
_MOST: Final = 2**53
"""Of counts, and of microseconds since 1970: more no worker counts, and no clock says."""
_NAMES: Final = NameLookups()
"""A worker's name that is never answered holds up neither the others nor what the API asks of
Kafka.
"""


class Workers:
    """The workers that the settings name."""

    def __init__(self, urls: Sequence[str], stale_after_s: float, ticks: bool) -> None:
        self._urls, self._stale_after_s, self._ticks = urls, stale_after_s, ticks
        self._session: aiohttp.ClientSession | None = None
        self._lock = asyncio.Lock()
        self._newest: tuple[float, Pipeline] | None = None

    async def opened(self, app: web.Application) -> AsyncIterator[None]:
        """While the app runs."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        ) as self._session:
            yield

    async def ask(self) -> Pipeline:
        """All of them at once."""
        async with self._lock:
            if self._newest is None or time.monotonic() - self._newest[0] > KEPT_S:
                found = await asyncio.gather(*[_places(url) for url in self._urls])
                places = [place for each in found for place in each]
                workers = tuple(await asyncio.gather(*[self._one(place) for place in places]))
                stages = judging.stages_of(workers, self._stale_after_s, self._ticks)
                state, why = judging.together(stages, workers)
                self._newest = (
                    time.monotonic(),
                    Pipeline(time.time_ns() // 1000, state, why, stages, workers),
                )
            return self._newest[1]

    async def _one(self, place: str) -> Worker:
        assert self._session is not None
        try:
            async with self._session.get(f"{place}/metrics", allow_redirects=False) as answer:
                if answer.status != 200:
                    return _silent(place, f"answers with status {answer.status}")
                text = await answer.content.read(_MOST_BYTES)
                while not answer.content.at_eof():
                    if len(text) >= _MOST_BYTES:
                        return _silent(place, "answers with more than a worker says")
                    text += await answer.content.read(_MOST_BYTES)
            now_s = _clock_s(answer.headers.get("Date"))
            if now_s is None:
                return _silent(place, "answers with a Date that no clock has")
            return _told(place, text.decode(), now_s)
        except TimeoutError:
            return _silent(place, f"does not answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError) as fault:
            return _silent(place, f"does not answer: {type(fault).__name__}")
        except (ValueError, LookupError):
            # No text, no metrics, a label that is missing, or a number that cannot be: the others
            # are shown all the same.
            return _silent(place, "answers with what is no metrics of a worker")


WORKERS: Final = web.AppKey("workers", Workers)


def workers_of(settings: ApiSettings, tick_after_s: float) -> Workers:
    """Those that the settings name; quiet partitions get a tick after so many seconds."""
    urls = [url.rstrip("/") for url in settings.workers]
    return Workers(urls, settings.stale_after_s, 2 * tick_after_s < settings.stale_after_s)


async def pipeline(request: web.Request, query: queries.Query) -> Pipeline:
    """The workers that api.workers names. For operators, since the counts are of all tenants."""
    return await request.app[WORKERS].ask()


async def _places(url: str) -> list[str]:
    """An address for each replica behind a name; the URL itself where it is not known in time."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        # Its certificate is for the name.
        return [url]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await _NAMES.addresses(parts.hostname or "", parts.port or 80)
    except (OSError, TimeoutError, ValueError):
        # ValueError: a name that cannot be one, such as a..b; asking it says so.
        return [url]
    port = parts.port or 80
    hosts = dict.fromkeys(str(each[4][0]) for each in found)
    # localhost is one worker under two addresses.
    chosen = (
        list(hosts) if len({each[0] for each in found}) == 1 else [h for h in hosts if ":" not in h]
    )
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}{parts.path}" for host in chosen]


def _silent(place: str, why: str) -> Worker:
    return Worker(
        place, "", up=False, ready=False, error=why, lanes=(), totals=Totals(0, 0, 0, 0, 0, 0, 0)
    )


def _clock_s(date: str | None) -> float | None:
    """The worker's own clock when it answered, Unix time in seconds: what it says of its lanes is
    by that one. Where it says nothing that can be read, ours; None for what no calendar has.
    """
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()
    except OverflowError:
        return None


def _told(place: str, text: str, now_s: float) -> Worker:
    """Raises ValueError or LookupError for what no worker says."""
    sums: defaultdict[str, float] = defaultdict(float)
    lags: dict[str, float] = {}
    moved: dict[str, float] = {}
    held: dict[tuple[str, str], float] = {}
    held_since: dict[tuple[str, str], float] = {}
    attempts: defaultdict[str, float] = defaultdict(float)
    stage, ready, stored = "", False, 0.0
    asked_s: float | None = None
    ends_s = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            match sample.name:
                case "sentinel_ready":
                    stage, ready = labels["stage"], sample.value == 1
                case "sentinel_lane_lag":
                    lags[f"{labels['stage']}/{labels['lane']}"] = sample.value
                case "sentinel_sink_lag":
                    lags[f"{labels['topic']}/{labels['partition']}"] = sample.value
                case "sentinel_sink_lag_timestamp_seconds":
                    asked_s = sample.value
                case "sentinel_lane_progress_timestamp_seconds":
                    moved[f"{labels['stage']}/{labels['lane']}"] = sample.value
                case "sentinel_lane_ends_timestamp_seconds":
                    ends_s = sample.value
                case "sentinel_held_since_timestamp_seconds":
                    held_since[labels["topic"], labels["partition"]] = sample.value
                case "sentinel_held_records":
                    held[labels["topic"], labels["partition"]] = sample.value
                case "sentinel_sink_documents_total" if labels["outcome"] == "stored":
                    stored += sample.value
                case "sentinel_delivery_attempts_total":
                    attempts[labels["outcome"]] += sample.value
                case name:
                    sums[name] += sample.value
    holds = {
        _lane(stage, *place): (since, held.get(place, 0.0)) for place, since in held_since.items()
    }
    if stage != judging.TICKING:
        # Without ticks a lane moves only when there is something for it: while the broker says that
        # nothing is, it does not stand still.
        for name in moved.keys() - holds.keys():
            moved[name] = max(moved[name], ends_s) if lags.get(name) == 0 else moved[name]
    lanes = tuple(
        _made(
            name, lags.get(name, 0), moved.get(name, asked_s), now_s, *holds.get(name, (None, 0.0))
        )
        for name in sorted(lags.keys() | holds.keys(), key=_by_number)
    )
    delivered = attempts.pop(Attempt.DELIVERED, 0.0)
    totals = Totals(
        records=_count(sums["sentinel_records_total"]),
        events=_count(sums["sentinel_events_total"]),
        late=_count(sums["sentinel_late_events_total"]),
        bad=_count(sums["sentinel_bad_records_total"]),
        stored=_count(stored),
        delivered=_count(delivered),
        failed=_count(sum(attempts.values())),
    )
    return Worker(place, stage, up=True, ready=ready, error=None, lanes=lanes, totals=totals)


def _lane(stage: str, topic: str, partition: str) -> str:
    """What the partition is called here: by its lane, where the stage's lanes read it."""
    source = INPUTS.get(stage)
    return (
        f"{stage}/{partition}"
        if source is not None and topic.endswith(source)
        else f"{topic}/{partition}"
    )


def _made(
    name: str,
    lag: float,
    moved_s: float | None,
    now_s: float,
    held_since_s: float | None,
    held: float,
) -> Lane:
    moved_us = _us(moved_s)
    # The clock of an answer has whole seconds.
    age_s = None if moved_s is None else max(0.0, round(now_s - moved_s, 3))
    return Lane(name, _count(lag), moved_us, age_s, _us(held_since_s), _count(held))


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else _count(seconds * 1e6)


def _count(value: float) -> int:
    """Raises ValueError for what is none: not finite, or beyond what an answer can hold."""
    if not abs(value) <= _MOST:
        raise ValueError(f"{value} is no count")
    return round(value)


def _by_number(lane: str) -> tuple[str, int]:
    name, _, number = lane.rpartition("/")
    return name, int(number) if number.isdigit() else 0
