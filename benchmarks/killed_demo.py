"""Kill -9 of any stage, the sink, the API or the store, ten times at random while the demo plays:
is anything missing, doubled or different?

    python -m benchmarks.killed_demo [--json] [--store embedded|elasticsearch] [--kills 10] [--speed
    60] [--seed 1] [--kafka host:port]

Plays the demo's hour twice on a real Kafka, with the embedded store or with a real Elasticsearch,
which then is killed too: once in quiet, as fast as it goes, once while processes are killed in an
order that a seeded lot decides. Compared are what the store has with what the topics hold (each
document by id, to the byte), and with the quiet run: what each incident came to in the end, the
steps on the way that are told (opened, escalated, resolved), and the messages. Steps between
(`updated`) and the numbers of all steps are no part of it: two quiet runs differ there as well,
since they depend on which of detect's lanes is heard first; `python -m benchmarks.exactness` holds
them to the byte against one log. `delivered_again` counts messages that came once more under their
id, as when alert dies between the answer and its record of it: a receiver knows them by the id.
Exit status 0 only when nothing else differs.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.killed_demo_run import ELASTICSEARCH, Left, Play, run
from schemas.errors import UserError
from schemas.records.incidents import Incident, IncidentChange
from tests.harness.machine import machine
from tests.harness.servers.elasticsearch import CannotStartElasticsearch, ElasticServer
from tests.harness.servers.kafka import CannotStartKafka, KafkaServer
from tests.harness.showing import Json, Screen, Sheet, end_in_order
from topology.demo.traces.scenario import DURATION_S

_ERRORS = (
    "missing",
    "unexpected",
    "unequal",
    "incidents_different",
    "changes_different",
    "messages_different",
    "forged",
)


def numbers(quiet: Left, killed: Left) -> dict[str, Json]:
    """As `--json` prints them. All of missing, unexpected, unequal, incidents_different,
    changes_different, messages_different and forged must be 0.
    """
    topics, store = killed.on_topics, killed.in_store
    return {
        "kills": killed.kills.total(),
        "kills_by_process": dict(killed.kills),
        "documents": dict(Counter(str(kind) for kind, _ in topics)),
        "missing": len(topics.keys() - store.keys()),
        "unexpected": len(store.keys() - topics.keys()),
        "unequal": sum(topics[place] != store[place] for place in topics.keys() & store.keys()),
        "incident_states": len(killed.incidents),
        "incidents_different": _different(_last(quiet), _last(killed)),
        "changes_different": _different(_changes(quiet), _changes(killed)),
        "messages": len(killed.messages),
        "messages_different": _different(_messages(quiet), _messages(killed)),
        "delivered_again": killed.delivered_again,
        "forged": quiet.forged + killed.forged,
        "died_by_themselves": [*quiet.deaths, *killed.deaths],
    }


def is_exact(told: dict[str, Json]) -> bool:
    """Whether nothing differs."""
    return not any(told[name] for name in _ERRORS)


def _last(left: Left) -> dict[str, Incident]:
    """What each incident came to in the end, but for where that stands in the log and the
    how-manieth state it is.
    """
    newest = {name: left.incidents[name, revision] for name, revision in sorted(left.incidents)}
    return {
        name: replace(one, revision=0, lane=0, offset=0, ordinal=0) for name, one in newest.items()
    }


def _changes(left: Left) -> dict[str, list[tuple[str, str]]]:
    """What became of each incident, step by step, as far as it is told."""
    steps: dict[str, list[tuple[str, str]]] = {}
    for (name, _), one in sorted(left.incidents.items(), key=lambda item: item[0]):
        if one.change is not IncidentChange.UPDATED:
            steps.setdefault(name, []).append((one.change.value, one.severity.value))
    return steps


def _messages(left: Left) -> Counter[tuple[str, str, str]]:
    """What was said, and how often; an id is one message, and names the state that it tells of by
    its number.
    """
    return Counter((one.kind, one.severity, one.title) for one in left.messages.values())


def _different(quiet: Mapping[Any, object], killed: Mapping[Any, object]) -> int:
    """Entries that only one has, or that are not the same in both."""
    return sum(quiet.get(name) != killed.get(name) for name in quiet.keys() | killed.keys())


def _sheet(told: Mapping[str, Json]) -> Sheet:
    return Sheet(
        "The demo under kills",
        ("what", "seen"),
        [(name, str(value)) for name, value in told.items()],
    )


@contextmanager
def _kafka(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    with closing(KafkaServer(is_measured=True)) as server:
        server.start()
        yield server.address


@contextmanager
def _elastic(store: str) -> Iterator[ElasticServer | None]:
    if store != ELASTICSEARCH:
        yield None
        return
    with ElasticServer(is_measured=True) as server:
        yield server


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = _options(arguments)
    screen, described, began = Screen(options.json), machine(), time.monotonic()
    end_in_order()
    try:
        with _kafka(options.kafka) as kafka, _elastic(options.store) as elastic:
            # On a whole minute, so that buckets fall alike every time; the hour ended a while ago,
            # so that no event is ahead of its arrival.
            start = (time.time_ns() // 60_000_000_000 - DURATION_S // 60 - 3) * 60_000_000
            screen.say("the quiet run")
            quiet = asyncio.run(run(Play(kafka, start, options.seed, elastic=elastic), screen.say))
            if quiet.deaths or not quiet.incidents:
                raise UserError(
                    f"the quiet run was not quiet: {'; '.join(quiet.deaths) or 'no incident'}"
                )
            screen.say(
                f"{len(quiet.incidents)} states of incidents, {len(quiet.messages)} messages; the"
                " run with kills"
            )
            killed = asyncio.run(
                run(
                    Play(kafka, start, options.seed, options.speed, options.kills, elastic),
                    screen.say,
                )
            )
    except (UserError, CannotStartKafka, CannotStartElasticsearch) as why:
        sys.stderr.write(f"killed_demo: {why}\n")
        return 2
    told = {**numbers(quiet, killed), "wall_s": round(time.monotonic() - began, 1)}
    screen.results(described, [_sheet(told)], told)
    return 0 if is_exact(told) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.killed_demo", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    parser.add_argument(
        "--store", choices=("embedded", ELASTICSEARCH), default="embedded", help="(embedded)"
    )
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs (10)")
    parser.add_argument(
        "--speed", type=float, default=60.0, help="times real time, of the run with kills (60)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the hour and of the kills (1)")
    parser.add_argument(
        "--kafka", help="host:port of a Kafka to use, in plain text; without it one is started"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
