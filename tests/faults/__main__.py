"""Everything that can go wrong, one after the other, on a real Kafka: is anything lost, wrong, told
twice or hung?

    python -m tests.faults [--json] [--only NAME,NAME] [--long] [--events 20000] [--seed 1] [--list]

Each fault happens while all stages work on a stream whose right outcome a slow, separate reference
computes afterwards from the log as re-read. Compared are buckets, anomalies, incidents, dead
letters, state to the byte, what the receivers got, and, where the fault is one of a store, its
documents. Exit status 0 only if every invariant holds: no event lost, state equal, each page once
after its id, every document stored once, no lane that has records stands still for longer than 30 s
once the harm is over, memory and open files bounded.
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from tests.faults.catalogue import ALONE, FAULTS, Alone, Fault
from tests.faults.running import Place, place, suffer
from tests.harness.exactness.disturbing import Say
from tests.harness.machine import machine
from tests.harness.servers.process import CannotStart
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order

_SHOWN = (
    "lost",
    "wrong_state",
    "missing",
    "duplicates",
    "unequal",
    "duplicate_pages",
    "stored",
    "longest_gap_s",
    "recovery_s",
    "drain_s",
    "most_memory_mb",
)

_SUBJECTS: Final = 24
_KNOWN: Final[Mapping[str, Fault | Alone]] = {**FAULTS, **ALONE}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    options = _options(arguments)
    if options.list:
        sys.stdout.writelines(f"{fault.name:22} {fault.what}\n" for fault in _KNOWN.values())
        return 0
    screen = Screen(options.json)
    end_in_order()
    described = machine()
    told: dict[str, Json] = {}
    try:
        with _place(options.only) as at:
            for fault in options.only:
                screen.say(f"--- {fault.name}: {fault.what}")
                try:
                    told[fault.name], line = _suffered(fault, at, options, screen.say)
                except BenchmarkFailed as why:
                    screen.say(f"{fault.name} BROKEN: {why}")
                    told[fault.name] = {"broken": [str(why)]}
                    continue
                screen.say(f"{fault.name}: {line}")
    except CannotStart as why:
        sys.stderr.write(f"faults: {why}\n")
        return 2
    broken = [
        name for name, numbers in told.items() if isinstance(numbers, dict) and numbers["broken"]
    ]
    screen.results(described, [_sheet(told)], {"faults": told, "broken": [*broken]})
    return 1 if broken else 0


def _place(wanted: Sequence[Fault | Alone]) -> contextlib.AbstractContextManager[Place | None]:
    """A real broker, if there is a fault that needs one."""
    return (
        place() if any(isinstance(fault, Fault) for fault in wanted) else contextlib.nullcontext()
    )


def _suffered(
    fault: Fault | Alone, at: Place | None, options: argparse.Namespace, say: Say
) -> tuple[dict[str, Json], str]:
    """Its figures, and a line about them. Raises BenchmarkFailed."""
    if isinstance(fault, Alone):
        found = fault.suffers(long=options.long, say=say)
        return found.numbers, _state(found.broken)
    assert at is not None
    figures = suffer(
        [fault],
        at,
        events=options.events,
        subjects=_SUBJECTS,
        seed=options.seed,
        long=options.long,
        say=say,
    )
    wrong = [
        f"{tally.what}: {example}"
        for tally in figures.verdict.differing
        for example in tally.examples
    ]
    return figures.numbers, "\n           ".join(
        [_state(figures.broken), *wrong, *figures.verdict.ran.last_words]
    )


def _state(broken: Sequence[str]) -> str:
    return "; ".join(broken) or "every invariant holds"


def _sheet(told: dict[str, Json]) -> Sheet:
    rows = [
        (
            name,
            *(str(numbers.get(each, "-")) for each in _SHOWN),
            "; ".join(map(str, _list(numbers["broken"]))) or "holds",
        )
        for name, numbers in told.items()
        if isinstance(numbers, dict)
    ]
    return Sheet("Faults", ("fault", *_SHOWN, "invariants"), rows)


def _list(found: Json) -> list[Json]:
    return list(found) if isinstance(found, list) else []


def _faults(names: str) -> list[Fault | Alone]:
    unknown = [name for name in names.split(",") if name not in _KNOWN]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no such fault: {', '.join(unknown)}; --list names them all"
        )
    return [_KNOWN[name] for name in names.split(",")]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=(__doc__ or "").split("\n")[0],
        epilog="example: python -m tests.faults --only zombie,broker-killed",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one object, with one for each fault, instead of a table",
    )
    parser.add_argument(
        "--only", type=_faults, default=list(_KNOWN.values()), metavar="NAMES", help="(all)"
    )
    parser.add_argument("--long", action="store_true", help="the long form: minutes for each fault")
    parser.add_argument("--events", type=int, default=20_000, help="events for each fault (20,000)")
    parser.add_argument("--seed", type=int, default=1, help="of traffic and faults (1)")
    parser.add_argument("--list", action="store_true", help="name the faults, and end")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
