"""Producers that are not ours, and kill -9: do topics, store and API have what was sent?

    python -m benchmarks.foreign [--json] [--events 480000] [--kills 20] [--clients
    java,librdkafka,...] [--seed 1]

The run of `benchmarks.exactness`, with a store, and filled by five clients of other people, each
with its language's Avro library and its own defaults: Apache Kafka's Java client, librdkafka,
Sarama, KafkaJS and kafka-python (`make foreign` installs them; librdkafka needs nothing more). Half
of each one's applications are sent with the key `tenant/application`, which murmur2, CRC-32 and
FNV-1a place in three ways; the other half without a key; and a tenant's applications are sent by
all of them. So nearly every application comes to several lanes.

A ledger is kept of what is handed to the clients: events, failures, tokens and cost of each bucket
of each series, as whole numbers. With it are compared the buckets on the topic, the store's
documents, and what the API answers, lanes added up. Everything else is compared as in the exactness
run. Lanes wait for late events as long as clients may be apart, so that none is late. Exit status 0
only when nothing differs.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.exactness import sheets
from benchmarks.foreign_run import comparing
from benchmarks.foreign_run.clients import CLIENTS
from benchmarks.foreign_run.sending import Sender
from benchmarks.foreign_run.traffic import Ledger
from connectors.store.opening import store_of
from connectors.store.settings import StoreKind, StoreSettings
from tests.harness.exactness.comparing import references
from tests.harness.exactness.disturbing import Say, killed
from tests.harness.exactness.plan import SPAN_US, Plan
from tests.harness.exactness.running import run
from tests.harness.exactness.storing import compared
from tests.harness.exactness.verdict import Verdict, judged
from tests.harness.machine import machine
from tests.harness.reference.reading import Reader
from tests.harness.reference.tally import Tally
from tests.harness.servers.kafka import CannotStartKafka, KafkaServer
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet
from topology.api.commands import Commands
from topology.api.serving import serving
from topology.api.settings import ApiSettings

LATENESS_S: Final = 240.0
"""Of event time, which runs an hour in the minutes of the run."""
_BEFORE_S: Final = 60.0
"""How much more than that the last event lies before the wall clock, so that an event of now closes
its bucket.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    verdict: Verdict
    by_ledger: list[Tally]
    events: int
    """In the ledger."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing differs, and nothing was late."""
        return (
            self.verdict.is_exact
            and self.verdict.late == 0
            and not any(tally.errors for tally in self.by_ledger)
        )

    @property
    def numbers(self) -> dict[str, Json]:
        """As `--json` prints it."""
        told: dict[str, Json] = {
            tally.what: {
                "compared": tally.compared,
                "wrong": tally.errors,
                "examples": tally.examples,
            }
            for tally in self.by_ledger
        }
        return {
            **self.verdict.numbers,
            "events_in_ledger": self.events,
            "by_ledger": told,
            "exact": self.is_exact,
        }


def plan_of(
    bootstrap: str, store: Path, events: int, kills: int, seed: int, prefix: str = "exactness."
) -> Plan:
    """A plan whose store is a file that is made."""
    ended = time.time() - LATENESS_S - _BEFORE_S
    return Plan(
        bootstrap,
        prefix,
        events=events,
        kills=kills,
        seed=seed,
        lateness_s=LATENESS_S,
        store=StoreSettings(StoreKind.EMBEDDED, path=str(store)),
        start=round(ended * 1e6) - SPAN_US,
    )


def measure(plan: Plan, clients: Sequence[str], ledger: Ledger, say: Say) -> Result:
    """Runs a plan that has a store on a broker that is there, and fills the ledger. Raises
    BenchmarkFailed when the run does not come to its end.
    """
    assert plan.store is not None
    ran = asyncio.run(
        run(
            plan, say, killed, lambda plan, rate: Sender(plan, rate, clients=clients, ledger=ledger)
        )
    )
    kept = asyncio.run(compared(plan, plan.store, ()))
    verdict = judged(plan, ran, references(plan, say), kept)
    say(f"compares with the ledger of {ledger.events:,} events")
    return Result(verdict, by_ledger(plan, ledger), ledger.events)


def by_ledger(plan: Plan, ledger: Ledger) -> list[Tally]:
    """What a run left on its topics, in its store, and what the API says of that, against the
    ledger. Raises what reading raises.
    """
    assert plan.store is not None
    with Reader(plan.broker) as reader:
        on_topics = [comparing.buckets(plan, reader, ledger), comparing.misplaced(plan, reader)]
    return [*on_topics, *asyncio.run(_kept(plan, plan.store, ledger))]


async def _kept(plan: Plan, settings: StoreSettings, ledger: Ledger) -> list[Tally]:
    by_store = await comparing.stored(settings, ledger)
    store = store_of(settings)
    assert store is not None
    await store.start()
    try:
        async with serving(
            store, ApiSettings(port=0), Commands(plan.broker, plan.control_key)
        ) as port:
            by_api = await asyncio.to_thread(
                comparing.told, f"http://127.0.0.1:{port}", plan, ledger
            )
    finally:
        await store.close()
    return [by_store, by_api]


def _sheet(result: Result, clients: Sequence[str]) -> Sheet:
    rows = [
        (
            tally.what,
            f"{tally.compared:,}",
            f"{tally.missing:,}",
            f"{tally.unequal:,}",
            f"{tally.unexpected:,}",
        )
        for tally in result.by_ledger
    ]
    placed = ", ".join(f"{name} ({CLIENTS[name].partitioner})" for name in clients)
    wrong = " ".join(example for tally in result.by_ledger for example in tally.examples)
    note = f"{result.events:,} events of {placed}; with a key and without. {wrong}"
    return Sheet(
        "By the ledger", ("what", "compared", "missing", "unequal", "unexpected"), rows, note
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = _options(arguments)
    screen = Screen(options.json)
    described = machine()
    try:
        for name in options.clients:
            if (why := CLIENTS[name].missing()) is not None:
                raise BenchmarkFailed(why)
        with (
            tempfile.TemporaryDirectory(prefix="sentinel-foreign-") as folder,
            closing(KafkaServer(is_measured=True)) as server,
        ):
            server.start()
            store = Path(folder) / "sentinel.db"
            plan = plan_of(server.address, store, options.events, options.kills, options.seed)
            result = measure(plan, options.clients, Ledger(), screen.say)
    except (BenchmarkFailed, CannotStartKafka) as why:
        sys.stderr.write(f"foreign: {why}\n")
        return 2
    screen.results(
        described, [*sheets(result.verdict), _sheet(result, options.clients)], result.numbers
    )
    return 0 if result.is_exact else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.foreign", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--events", type=int, default=480_000, help="events to send (default 480,000)"
    )
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="of traffic and deaths (default 1)")
    parser.add_argument(
        "--clients",
        type=_names,
        default=tuple(CLIENTS),
        help=f"some of {', '.join(CLIENTS)} (default all)",
    )
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in CLIENTS]:
        raise argparse.ArgumentTypeError(
            f"there is no client {unknown[0]}; there are {', '.join(CLIENTS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
