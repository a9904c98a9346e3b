"""The state of the pipeline, as the workers report it on `/metrics`."""

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
from prometheus_client.samples import Sample

from agents.alerting.reasons import Attempt
from streams.admin.inspection import INPUTS
from streams.client.name_lookups import NameLookups
from topology.api import judging, queries
from topology.api.settings import ApiSettings
from topology.api.shapes import Lane, Pipeline, Totals, Worker

TIMEOUT_S: Final = 2.0
"""Timeout of one worker's whole response."""
KEPT_S: Final = 1.0
"""Seconds for which one result serves all requests: a hundred open pages poll the workers no more
often than one.
"""
_MAX_BYTES: Final = 4_000_000
_MAX: Final = 2**53
"""Maximum of counts, and of microseconds since 1970: the largest that JSON readers keep exact."""
_NAMES: Final = NameLookups()
"""Own look-ups: a name that is never answered delays neither other workers nor requests to Kafka.
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
        """Poll all workers concurrently, at most once every KEPT_S."""
        # Under the lock, so that concurrent requests share one poll.
        async with self._lock:
            if self._newest is None or time.monotonic() - self._newest[0] > KEPT_S:
                found = await asyncio.gather(*[_addresses(url) for url in self._urls])
                addresses = [address for each in found for address in each]
                workers = tuple(
                    await asyncio.gather(*[self._one(address) for address in addresses])
                )
                stages = judging.stages_of(workers, self._stale_after_s, self._ticks)
                state, why = judging.together(stages, workers)
                self._newest = (
                    time.monotonic(),
                    Pipeline(time.time_ns() // 1000, state, why, stages, workers),
                )
            return self._newest[1]

    async def _one(self, address: str) -> Worker:
        assert self._session is not None
        try:
            async with self._session.get(f"{address}/metrics", allow_redirects=False) as answer:
                if answer.status != 200:
                    return _silent(address, f"answers with status {answer.status}")
                text = await answer.content.read(_MAX_BYTES)
                while not answer.content.at_eof():
                    if len(text) >= _MAX_BYTES:
                        return _silent(address, "answers with more than a worker says")
                    text += await answer.content.read(_MAX_BYTES)
            now_s = _clock_s(answer.headers.get("Date"))
            if now_s is None:
                return _silent(address, "answers with a Date that no clock has")
            return _worker(address, text.decode(), now_s)
        except TimeoutError:
            return _silent(address, f"does not answer within {TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError) as fault:
            return _silent(address, f"does not answer: {type(fault).__name__}")
        except (ValueError, LookupError):
            # Not UTF-8, not metrics, a missing label, or an impossible number. The other workers
            # are shown nevertheless.
            return _silent(address, "answers with what is no metrics of a worker")


WORKERS: Final = web.AppKey("workers", Workers)


def workers_of(settings: ApiSettings, tick_after_s: float) -> Workers:
    """The workers in the settings; idle partitions get a tick after `tick_after_s` seconds."""
    urls = [url.rstrip("/") for url in settings.workers]
    return Workers(urls, settings.stale_after_s, 2 * tick_after_s < settings.stale_after_s)


async def pipeline(request: web.Request, query: queries.Query) -> Pipeline:
    """The workers that api.workers names. For operators, since the counts are of all tenants."""
    return await request.app[WORKERS].ask()


async def _addresses(url: str) -> list[str]:
    """An address for each replica behind a name; the URL itself without an answer in time."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        # The certificate is valid for the name only.
        return [url]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await _NAMES.addresses(parts.hostname or "", parts.port or 80)
    except (OSError, TimeoutError, ValueError):
        # ValueError: an impossible name, such as a..b; the request reports it.
        return [url]
    port = parts.port or 80
    hosts = dict.fromkeys(str(each[4][0]) for each in found)
    # A name with IPv4 and IPv6 addresses, such as localhost, is one worker under two addresses.
    chosen = (
        list(hosts) if len({each[0] for each in found}) == 1 else [h for h in hosts if ":" not in h]
    )
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}{parts.path}" for host in chosen]


def _silent(address: str, why: str) -> Worker:
    return Worker(
        address, "", up=False, ready=False, error=why, lanes=(), totals=Totals(0, 0, 0, 0, 0, 0, 0)
    )


def _clock_s(date: str | None) -> float | None:
    """The worker's clock when it answered, Unix time in seconds: its timestamps are by that clock.
    The API's own clock without a readable date; None for a date out of range.
    """
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()
    except OverflowError:
        return None


class _Metrics:
    """The metrics of one worker that its state is made of."""

    def __init__(self) -> None:
        self.stage, self.ready, self.stored = "", False, 0.0
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.attempts: defaultdict[str, float] = defaultdict(float)
        self.lags: dict[str, float] = {}
        self.moved: dict[str, float] = {}
        self.held: dict[tuple[str, str], float] = {}
        self.held_since: dict[tuple[str, str], float] = {}
        self.asked_s: float | None = None
        self.ends_s = 0.0

    def add(self, sample: Sample) -> None:
        """Raises LookupError for a sample without its labels."""
        labels, value = sample.labels, sample.value
        match sample.name:
            case "sentinel_ready":
                self.stage, self.ready = labels["stage"], value == 1
            case "sentinel_lane_lag":
                self.lags[f"{labels['stage']}/{labels['lane']}"] = value
            case "sentinel_sink_lag":
                self.lags[f"{labels['topic']}/{labels['partition']}"] = value
            case "sentinel_sink_lag_timestamp_seconds":
                self.asked_s = value
            case "sentinel_lane_progress_timestamp_seconds":
                self.moved[f"{labels['stage']}/{labels['lane']}"] = value
            case "sentinel_lane_ends_timestamp_seconds":
                self.ends_s = value
            case "sentinel_held_since_timestamp_seconds":
                self.held_since[labels["topic"], labels["partition"]] = value
            case "sentinel_held_records":
                self.held[labels["topic"], labels["partition"]] = value
            case "sentinel_sink_documents_total" if labels["outcome"] == "stored":
                self.stored += value
            case "sentinel_delivery_attempts_total":
                self.attempts[labels["outcome"]] += value
            case name:
                self.sums[name] += value

    def lanes(self, now_s: float) -> tuple[Lane, ...]:
        """The lanes in order, at `now_s` of the worker's clock. Raises ValueError."""
        holds = {
            _lane(self.stage, *partition): (since, self.held.get(partition, 0.0))
            for partition, since in self.held_since.items()
        }
        moved = dict(self.moved)
        if self.stage != judging.TICKING:
            # Without ticks a lane moves only when it has records: as long as the broker reports
            # none, it is not stalled. A held lane has no lag either, but is.
            for name in moved.keys() - holds.keys():
                if self.lags.get(name) == 0:
                    moved[name] = max(moved[name], self.ends_s)
        return tuple(
            _made(
                name,
                self.lags.get(name, 0),
                moved.get(name, self.asked_s),
                now_s,
                *holds.get(name, (None, 0.0)),
            )
            for name in sorted(self.lags.keys() | holds.keys(), key=_by_number)
        )

    def totals(self) -> Totals:
        """The worker's counts. Raises ValueError."""
        failed = sum(
            count for outcome, count in self.attempts.items() if outcome != Attempt.DELIVERED
        )
        return Totals(
            records=_count(self.sums["sentinel_records_total"]),
            events=_count(self.sums["sentinel_events_total"]),
            late=_count(self.sums["sentinel_late_events_total"]),
            bad=_count(self.sums["sentinel_bad_records_total"]),
            stored=_count(self.stored),
            delivered=_count(self.attempts.get(Attempt.DELIVERED, 0.0)),
            failed=_count(failed),
        )


def _worker(address: str, text: str, now_s: float) -> Worker:
    """Raises ValueError or LookupError for a text that is not the metrics of a worker."""
    found = _Metrics()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.add(sample)
    lanes, totals = found.lanes(now_s), found.totals()
    return Worker(
        address, found.stage, up=True, ready=found.ready, error=None, lanes=lanes, totals=totals
    )


def _lane(stage: str, topic: str, partition: str) -> str:
    """Display name of a partition: that of the stage's lane which reads it, if there is one."""
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
    # The header Date has whole seconds, so an age may come out negative.
    age_s = None if moved_s is None else max(0.0, round(now_s - moved_s, 3))
    return Lane(name, _count(lag), moved_us, age_s, _us(held_since_s), _count(held))


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else _count(seconds * 1e6)


def _count(value: float) -> int:
    """Raises ValueError for a value that is not finite or too large."""
    if not abs(value) <= _MAX:
        raise ValueError(f"{value} is no count")
    return round(value)


def _by_number(lane: str) -> tuple[str, int]:
    name, _, number = lane.rpartition("/")
    return name, int(number) if number.isdigit() else 0
