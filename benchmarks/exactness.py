"""Ten kills in a million events: is every bucket, anomaly, incident and message what it would have
been without them?

    python -m benchmarks.exactness [--json] [--events 1000000] [--kills 10] [--subjects 120] [--seed
    1]

Starts a real Kafka and the stages detect, correlate and alert as supervised processes, kills them
with SIGKILL at random while telemetry flows, lets a second worker of detect join and leave, waits
until everything is worked off, and compares all topics, all state and all messages with two
references over `telemetry` as re-read: a slow one, one record at a time with dicts and whole
numbers, for time, buckets, rules and dead letters; and the product's own lanes, undisturbed and fed
in other blocks, for detectors and state. Exit status 0 only when nothing differs.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import closing

from tests.harness.exactness.comparing import references
from tests.harness.exactness.disturbing import Say
from tests.harness.exactness.plan import Plan
from tests.harness.exactness.running import run
from tests.harness.exactness.verdict import Verdict, judged
from tests.harness.machine import machine
from tests.harness.servers.kafka import CannotStartKafka, KafkaServer
from tests.harness.showing import BenchmarkFailed, Screen, Sheet


def measure(plan: Plan, say: Say) -> Verdict:
    """Runs a plan on a broker that is there, and compares. Raises BenchmarkFailed when the run does
    not come to its end.
    """
    ran = asyncio.run(run(plan, say))
    return judged(plan, ran, references(plan, say))


def sheets(verdict: Verdict) -> list[Sheet]:
    """The tables."""
    columns = ("what", "compared", "missing", "duplicates", "unequal", "unexpected", "again")
    rows = [
        (
            tally.what,
            *(
                f"{count:,}"
                for count in (
                    tally.compared,
                    tally.missing,
                    tally.duplicates,
                    tally.unequal,
                    tally.unexpected,
                    tally.repeated,
                )
            ),
        )
        for tally in verdict.tallies
    ]
    numbers = verdict.numbers
    kills = ", ".join(f"{stage} {count}" for stage, count in sorted(verdict.ran.kills.items()))
    note = (
        f"{verdict.ran.sent:,} records, {numbers['kills']} kills ({kills}); events lost"
        f" {verdict.lost}, counted twice {verdict.twice}, late {verdict.late:,}; anomalies by"
        f" detector {verdict.detectors}; stale blocks dropped {verdict.ran.stale_blocks}; deaths by"
        f" themselves {dict(verdict.ran.unexpected) or 'none'}. `again`: written or sent again"
        " under the same name with the same bytes, as after a death it must be; readers skip it."
    )
    made = [Sheet("Exactness", columns, rows, note)]
    wrong = [(tally.what, example) for tally in verdict.tallies for example in tally.examples]
    wrong += [("died by itself", line) for line in verdict.ran.last_words]
    if wrong:
        made.append(Sheet("What differs, for example, and who died", ("what", "which"), wrong))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = _options(arguments)
    screen = Screen(options.json)
    described = machine()
    try:
        with closing(KafkaServer(is_measured=True)) as server:
            server.start()
            plan = Plan(
                server.address,
                events=options.events,
                kills=options.kills,
                subjects=options.subjects,
                seed=options.seed,
                learning=not options.rules_only,
            )
            verdict = measure(plan, screen.say)
    except (BenchmarkFailed, CannotStartKafka) as why:
        sys.stderr.write(f"exactness: {why}\n")
        return 2
    screen.results(described, sheets(verdict), verdict.numbers)
    return 0 if verdict.is_exact else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exactness", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="events to send (default 1,000,000)"
    )
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs (default 10)")
    parser.add_argument("--subjects", type=int, default=120, help="series, about (default 120)")
    parser.add_argument("--seed", type=int, default=1, help="of traffic and deaths (default 1)")
    parser.add_argument(
        "--rules-only", action="store_true", help="switch the detectors that learn off"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
