"""Is everything there that an installation needs, and does it work? Each check is a line with what
to do. Nothing is changed.

Checks that need the broker are left out, and said to be, when it does not answer.
"""

import http.client
import json
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connectors.store.settings import StoreKind
from topology.settings.installation import Settings
from topology.settings.loading import Loaded

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TIMEOUT_S: Final = 5.0
"""Seconds that one answer may take."""

MOST_BEHIND: Final = 100_000
"""Records of a lane that are not read, from which on it is told: seconds of work for a worker that
runs.
"""

MOST_OFF_S: Final = 5.0
"""Seconds by which a clock may differ from this machine's: what `lanes.lateness_s` forgives unless
it is set.
"""

_STILL_S: Final = 600.0


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it (empty where all is well)."""

    what: str
    health: Health
    detail: str
    advice: str = ""


def examined(loaded: Loaded) -> Iterator[Finding]:
    """Every check, in the order in which things depend on each other."""
    yield from _settings(loaded)
    yield from _receivers(loaded.settings)
    yield from _kafka(loaded.settings)
    yield from _store(loaded.settings)
    yield _page(loaded.settings)


def _ok(what: str, detail: str) -> Finding:
    return Finding(what, Health.OK, detail)


def _settings(loaded: Loaded) -> Iterator[Finding]:
    hints = loaded.hints()
    for hint in hints:
        yield Finding("settings", Health.WARNING, str(hint), "change it, unless it is meant")
    if not hints:
        yield _ok("settings", f"{len(loaded.origins)} values given")
    if not loaded.settings.worker.control_key:
        advice = "give worker.control_key_file, the same for every worker: openssl rand -hex 32"
        yield Finding(
            "settings",
            Health.WARNING,
            "without worker.control_key nobody can silence or acknowledge",
            advice,
        )


def _receivers(settings: Settings) -> Iterator[Finding]:
    from topology.stages.receivers import check_receivers

    faults, hints = check_receivers(settings.alerting)
    for fault in faults:
        yield Finding(
            "receivers", Health.FAILED, fault, "correct it; `alert` does not start with it"
        )
    for hint in hints:
        yield Finding("receivers", Health.WARNING, hint, "change it, unless it is meant")
    names = [receiver.name for receiver in settings.alerting.receivers]
    if names and not faults and not hints:
        yield _ok(
            "receivers", f"{', '.join(names)}; sentinel notify-test NAME sends a test message"
        )


def _kafka(settings: Settings) -> Iterator[Finding]:
    from confluent_kafka import KafkaException

    from streams.client.broker_safety import RefusedBroker
    from streams.client.brokers import CannotReachBroker, reach

    try:
        admin, cluster = reach(settings.broker)
    except (CannotReachBroker, RefusedBroker) as fault:
        yield Finding(
            "broker", Health.FAILED, str(fault), "start Kafka, or correct the section broker"
        )
        yield Finding(
            "topics",
            Health.WARNING,
            "not looked at",
            "the broker first: topics, groups, lanes and clocks follow",
        )
        return
    yield _ok("broker", f"{len(cluster.brokers)} at {settings.broker.bootstrap_servers}")
    checks: tuple[tuple[str, Callable[[AdminClient, Settings], Iterator[Finding]]], ...] = (
        ("topics", _topics),
        ("groups", _groups),
        ("lanes", _lanes),
        ("clocks", _clocks),
    )
    for what, check in checks:
        try:
            yield from check(admin, settings)
        except KafkaException as fault:
            yield Finding(
                what, Health.FAILED, f"Kafka: {fault.args[0].str()}", "look at the broker's log"
            )


def _topics(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.topics import check, specs
    from streams.topic_names import TopicNames

    facts = check(admin, specs(TopicNames(settings.broker.topic_prefix), settings.lanes))
    for fact in facts:
        if not fact.good:
            detail = f"{fact.name} {fact.outcome.value} {fact.detail}".strip()
            yield Finding(
                "topics",
                Health.FAILED,
                detail,
                "sentinel topics create makes what is missing and says what differs",
            )
    if all(fact.good for fact in facts):
        yield _ok("topics", f"{len(facts)} as the lanes need them")


def _groups(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.topics import STAGES

    stages = (*STAGES, "sink") if settings.store.kind is not StoreKind.NONE else STAGES
    names = {f"{settings.broker.topic_prefix}{stage}": stage for stage in stages}
    for name, answer in admin.describe_consumer_groups(
        list(names), request_timeout=TIMEOUT_S * 2
    ).items():
        group = answer.result()
        members, stage = len(group.members), names[name]
        if members:
            state = group.state.name.lower().replace("_", " ")
            yield _ok(
                "groups", f"{stage}: {members} {'worker' if members == 1 else 'workers'}, {state}"
            )
        else:
            yield Finding(
                "groups",
                Health.FAILED,
                f"{stage}: no worker",
                f"sentinel worker {stage}, or sentinel standalone",
            )


def _lanes(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    from streams.admin.inspection import lanes
    from streams.admin.topics import STAGES
    from streams.state.position import Refused

    for stage in STAGES:
        try:
            reports = lanes(settings.broker, stage)
        except Refused as refused:
            yield Finding("lanes", Health.FAILED, f"{stage}: {refused}", "sentinel topics create")
            continue
        behind = [report for report in reports if report.behind > MOST_BEHIND]
        if not reports:
            yield Finding(
                "lanes",
                Health.WARNING,
                f"{stage}: no lane has state yet",
                "nothing, if it has just been started",
            )
        elif behind:
            worst = max(behind, key=lambda report: report.behind)
            detail = (
                f"{stage}: lane {worst.lane} is {worst.behind:,} records behind, at its last flush"
            )
            yield Finding(
                "lanes",
                Health.WARNING,
                detail,
                "add workers, or see the stage's log for what holds it up",
            )
        else:
            most = max(report.behind for report in reports)
            yield _ok(
                "lanes",
                f"{stage}: {len(reports)} lanes, {most:,} records behind at most, at their last"
                " flush",
            )


def _clocks(admin: "AdminClient", settings: Settings) -> Iterator[Finding]:
    """The newest append time of telemetry is at most now, and where workers tick at most moments
    ago.
    """
    from streams.topic_names import TopicNames
    from topology.control.reading import newest_append_time

    newest = newest_append_time(settings.broker, TopicNames(settings.broker.topic_prefix).telemetry)
    if newest is None:
        yield Finding(
            "clocks",
            Health.WARNING,
            "no record by which to know the broker's clock",
            "nothing, before the first event",
        )
        return
    ahead_s = newest / 1e6 - time.time()
    if ahead_s > MOST_OFF_S:
        detail = (
            f"the newest record of telemetry was appended {ahead_s:.0f} s from now by the broker's"
            " clock"
        )
        yield Finding(
            "clocks", Health.FAILED, detail, "set the clocks of brokers and of this machine by NTP"
        )
    elif -ahead_s > _STILL_S:
        detail = f"nothing was appended to telemetry for {-ahead_s:.0f} s, not even a tick"
        yield Finding(
            "clocks",
            Health.WARNING,
            detail,
            "start detect, which ticks; or the broker's clock is behind: use NTP",
        )
    else:
        yield _ok(
            "clocks",
            f"the broker's newest record is {max(-ahead_s, 0):.0f} s old by this machine's clock",
        )


def _store(settings: Settings) -> Iterator[Finding]:
    match settings.store.kind:
        case StoreKind.NONE:
            yield Finding(
                "store",
                Health.WARNING,
                "none: no page and no lists",
                "set store.kind to embedded or elasticsearch",
            )
        case StoreKind.EMBEDDED:
            yield from _file(Path(settings.store.path))
        case StoreKind.ELASTICSEARCH:
            yield from (_node(url, settings) for url in settings.store.urls)


def _file(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        advice = "start the stage sink, which makes it; or give store.path as a whole path"
        yield Finding("store", Health.WARNING, f"there is no file {path}", advice)
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            "store",
            Health.WARNING,
            f"{path} can be read by others ({mode:04o})",
            f"chmod 600 {path}",
        )
    import sqlite3

    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT_S)
        try:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as fault:
        yield Finding(
            "store", Health.FAILED, f"{path}: {fault}", "see docs/operations.md on a damaged store"
        )
        return
    if answer == "ok":
        yield _ok("store", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding(
            "store",
            Health.FAILED,
            f"{path} is damaged: {answer}",
            "see docs/operations.md on a damaged store",
        )


def _node(url: str, settings: Settings) -> Finding:
    store, headers = settings.store, {}
    if store.api_key:
        headers["Authorization"] = f"ApiKey {store.api_key.reveal()}"
    elif store.username is not None:
        import base64

        pair = f"{store.username}:{store.password.reveal()}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    status, body, date = _get(f"{url.rstrip('/')}/_cluster/health", headers, store.tls_ca_file)
    if status != 200:
        return Finding(
            "store",
            Health.FAILED,
            f"{url} answers: {body}",
            "start Elasticsearch, or correct the section store",
        )
    off_s = 0.0 if date is None else (date - datetime.now(UTC)).total_seconds()
    if abs(off_s) > MOST_OFF_S:
        return Finding(
            "clocks", Health.WARNING, f"the clock of {url} is {off_s:+.0f} s off", "set it by NTP"
        )
    try:
        cluster = str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Finding("store", Health.FAILED, f"{url} is no Elasticsearch", "correct store.urls")
    if cluster == "red":
        return Finding(
            "store",
            Health.FAILED,
            f"{url}: the cluster is red",
            "see the cluster's own health report",
        )
    return _ok("store", f"{url}: the cluster is {cluster}")


def _page(settings: Settings) -> Finding:
    if settings.store.kind is StoreKind.NONE or not settings.api.port:
        return Finding(
            "page",
            Health.WARNING,
            "cannot be asked: no store, or api.port is 0",
            "set store.kind and api.port",
        )
    host = "127.0.0.1" if settings.api.host in ("0.0.0.0", "::") else settings.api.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.api.port}"
    status, body, _ = _get(f"{address}/live", {}, None)
    if status == 200:
        return _ok("page", f"{address} answers")
    return Finding(
        "page",
        Health.FAILED,
        f"{address} does not answer: {body}",
        "sentinel api, or sentinel standalone",
    )


def _get(
    url: str, headers: dict[str, str], ca_file: str | None
) -> tuple[int | None, str, datetime | None]:
    """Status, None when nothing answers; what is said; and the clock of who answers."""
    try:
        context = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S, context=context
        ) as answer:
            date = answer.headers.get("Date")
            return (
                answer.status,
                answer.read(65_536).decode(errors="replace"),
                _moment(date) if date else None,
            )
    except urllib.error.HTTPError as refused:
        return refused.code, f"HTTP {refused.code}", None
    except (OSError, http.client.HTTPException) as fault:
        return None, " ".join(str(getattr(fault, "reason", fault)).split()), None
    except ValueError:
        # What refuses such a header shows it, with the credentials in it.
        return (
            None,
            (
                "the address, user name, password or key holds what no request can have, such as a"
                " second line"
            ),
            None,
        )


def _moment(date: str) -> datetime | None:
    """What a Date header says; None for what no calendar has, and for what names no zone."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
