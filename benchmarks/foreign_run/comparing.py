"""The ledger against what Sentinel counted: in its topic, in its store, and as its API tells it."""

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from agents.detection.intake.reports import MISPLACED_EVENTS
from benchmarks.foreign_run.sending import CLOSER
from benchmarks.foreign_run.traffic import BUCKET_US, Counts, Ledger, Place
from connectors.store.settings import StoreSettings
from schemas.documents import Kind
from schemas.records.aggregates import Aggregate
from schemas.records.anomalies import Anomaly
from schemas.records.telemetry import TelemetryEvent
from streams.records.partitioners import murmur2_partitions
from tests.harness.documents import Documents, held
from tests.harness.exactness.plan import PARTITIONS, SPAN_US, Plan
from tests.harness.reference.reading import Reader
from tests.harness.reference.tally import Tally, tallied

_METRICS: Final = ("request_rate", "error_rate", "tokens", "cost")
_FIELDS: Final = (
    *("tenant", "application", "model", "window_start"),
    *("requests", "errors", "prompt_tokens", "completion_tokens", "cost_nano"),
)
_TIMEOUT_S: Final = 30.0

Application = tuple[str, str]
"""Tenant and application."""


def buckets(plan: Plan, reader: Reader, ledger: Ledger) -> Tally:
    """What the lanes wrote, added up."""
    written = (
        Aggregate.from_bytes(record.value)
        for lane in range(PARTITIONS)
        for record in reader.stored(plan.names.aggregates, lane)
        if record.value is not None
    )
    found = added(_part(asdict(one)) for one in written)
    return tallied("buckets, by the ledger", ledger.counts, found.items(), once=True)


async def stored(store: StoreSettings, ledger: Ledger) -> Tally:
    """What the store has, added up over its documents, one for each lane."""

    async def as_they_are(_: Documents) -> bool:
        return True

    tenants = {tenant for tenant, _, _, _ in ledger.counts}
    documents = await held(store, tenants, as_they_are, 0.0)
    bodies = [json.loads(body) for (kind, _), body in documents.items() if kind is Kind.AGGREGATE]
    found = added(map(_part, bodies))
    return tallied("stored, by the ledger", ledger.counts, found.items(), once=True)


def told(address: str, plan: Plan, ledger: Ledger) -> Tally:
    """What the API says of every series, bucket by bucket: sums again, of what are rates and means
    there.
    """
    found: dict[Place, Counts] = {}
    series = sorted({place[:3] for place in ledger.counts})
    for tenant, application, model in series:
        span = {"since": plan.start - SPAN_US, "until": plan.start + 2 * SPAN_US}
        by_metric: list[dict[int, float]] = []
        for metric in _METRICS:
            query = {
                "tenant": tenant,
                "application": application,
                "model": model,
                "metric": metric,
                "times": "us",
                **span,
            }
            points = _asked(address, f"series?{urllib.parse.urlencode(query)}")
            by_metric.append({point["window_start"]: point["observed"] or 0.0 for point in points})
        for start, rate in by_metric[0].items():
            requests = rate * BUCKET_US / 1_000_000
            failed, tokens, cost = (requests * means.get(start, 0.0) for means in by_metric[1:])
            if round(requests):
                found[tenant, application, model, start] = _counts(requests, failed, tokens, cost)
    return tallied("told by the API, by the ledger", ledger.counts, found.items(), once=True)


def misplaced(plan: Plan, reader: Reader) -> Tally:
    """Every application of which a record is on a lane that is not its own is told of, and no
    other.
    """
    wrong: set[Application] = set()
    reported: set[Application] = set()
    for lane in range(PARTITIONS):
        here: set[Application] = set()
        for record in reader.stored(plan.names.telemetry, lane):
            # A record with a header is none of the clients': settings, or a tick.
            if record.value is not None and not record.headers:
                event = TelemetryEvent.from_bytes(record.value)
                here.add((event.tenant, event.application))
        names = sorted(here)
        own = murmur2_partitions(["/".join(name).encode() for name in names], PARTITIONS).tolist()
        wrong |= {
            name
            for name, home in zip(names, own, strict=True)
            if home != lane and name[0] != CLOSER
        }
        for record in reader.stored(plan.names.anomalies, lane):
            if (
                record.value is not None
                and (said := Anomaly.from_bytes(record.value)).metric == MISPLACED_EVENTS
            ):
                reported.add((said.tenant, said.application))
    told = ((name, b"") for name in sorted(reported))
    return tallied("applications on other lanes, told", dict.fromkeys(wrong, b""), told, once=True)


def added(parts: Iterable[tuple[Place, Counts]]) -> dict[Place, Counts]:
    """Of every bucket with an event, all lanes together.

    >>> key, later = ("t", "a", "m", 0), ("t", "a", "m", 10)
    >>> added([(key, (1, 0, 5, 7)), (key, (2, 1, 5, 7)), (later, (0, 0, 0, 0))])
    {('t', 'a', 'm', 0): (3, 1, 10, 14)}
    """
    sums: defaultdict[Place, list[Counts]] = defaultdict(list)
    for place, counts in parts:
        if counts[0] and place[0] != CLOSER:
            sums[place].append(counts)
    return {place: _whole(each) for place, each in sums.items()}


def _part(aggregate: Mapping[str, Any]) -> tuple[Place, Counts]:
    tenant, application, model, start, requests, errors, prompt, completion, cost = map(
        aggregate.__getitem__, _FIELDS
    )
    return (tenant, application, model, start), _counts(requests, errors, prompt + completion, cost)


def _whole(parts: Sequence[Counts]) -> Counts:
    requests, errors, tokens, cost = (sum(column) for column in zip(*parts, strict=True))
    return requests, errors, tokens, cost


def _counts(requests: float, errors: float, tokens: float, cost: float) -> Counts:
    return round(requests), round(errors), round(tokens), round(cost)


def _asked(address: str, path: str) -> list[Mapping[str, Any]]:
    with urllib.request.urlopen(f"{address}/api/v1/{path}", timeout=_TIMEOUT_S) as answer:
        items: list[Mapping[str, Any]] = json.load(answer)["items"]
        return items
