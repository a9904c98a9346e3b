"""How the cost of an event grows: with subjects, detectors, partitions, record size, step size,
late events, mixed schemas, workers.

    python -m benchmarks.scaling [--json] [--only subjects,workers:2] [--events 4000000] [--repeat
    1]

Each case is what `benchmarks.throughput` measures, with one thing changed: a real Kafka, a backlog
whose event time runs at 20,000 a second, and real worker processes; CPU is that of the workers
alone. What is not the subject of an axis is as in service: four partitions, one worker, windows
only, batches as our producers make them, 100 subjects; partitions and workers are looked at with
3,000 subjects, detectors with 20,000 users.

Events that show a subject for the first time are not measured. A backlog is longer than `--events`
where it has to show each subject three times, and shorter where records are large or steps small.
The package has one version of the telemetry schema; `schema_versions` is the share, in percent, of
records that are written under a second id (`tests.harness.second_schema`).
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Final

from agents.detectors.settings import DetectionSettings, Deviation, Profile
from benchmarks.backlogs import EVENT_RATE, Case, Rate, measured
from benchmarks.throughput import DETECTORS, MODELS, USERS, WINDOWS_ONLY, middle
from tests.harness.machine import machine
from tests.harness.showing import BenchmarkFailed, Json, Screen, Sheet, end_in_order
from topology.demo.traces.ordinary import Population

SUBJECTS: Final = (100, 3_000, 50_000, 1_000_000)
PARTITIONS: Final = (1, 4, 16, 64)
TEXTS: Final = {"150": 0, "500": 350, "2000": 1_850, "8000": 7_850}
"""Record size, about, and the characters of text that make it so."""

STEPS: Final = (50, 200, 1_000, 4_000)
LATE_PERCENT: Final = (0, 1, 10, 50)
OTHER_PERCENT: Final = (0, 1, 50)
WORKERS: Final = (1, 2)

_MOST_BYTES: Final = 1_500_000_000
_MOST_STEPS: Final = 10_000
_TIMES_SEEN: Final = 3


def _case(
    name: str, subjects: int = 100, users: int = 0, detection: DetectionSettings = WINDOWS_ONLY
) -> Case:
    return Case(name, Population(subjects // MODELS, MODELS, users), detection, warm_up=subjects)


def _subjects() -> Iterator[Case]:
    return (_case(str(count), count) for count in SUBJECTS)


def _subjects_with_detectors() -> Iterator[Case]:
    return (_case(str(count), count, USERS, DETECTORS) for count in SUBJECTS)


def _detectors() -> Iterator[Case]:
    off, on = Deviation(enabled=False), Deviation()
    nobody, everybody = Profile(enabled=False), Profile()
    for name, detection in {
        "none": WINDOWS_ONLY,
        "rules": DetectionSettings(DETECTORS.rules, off, nobody),
        "deviation": DetectionSettings((), on, nobody),
        "profile": DetectionSettings((), off, everybody),
        "all": DETECTORS,
    }.items():
        yield _case(name, users=USERS, detection=detection)


def _partitions() -> Iterator[Case]:
    return (replace(_case(str(count), 3_000), partitions=count) for count in PARTITIONS)


def _record_bytes() -> Iterator[Case]:
    return (replace(_case(name), text=text) for name, text in TEXTS.items())


def _records_per_step() -> Iterator[Case]:
    yield from (replace(_case(str(count)), batch_records=count) for count in STEPS)
    yield _case("as in service")


def _late() -> Iterator[Case]:
    return (replace(_case(str(percent)), late_share=percent / 100) for percent in LATE_PERCENT)


def _schema_versions() -> Iterator[Case]:
    return (
        replace(_case(str(percent)), other_schema_share=percent / 100) for percent in OTHER_PERCENT
    )


def _workers() -> Iterator[Case]:
    return (replace(_case(str(count), 3_000), workers=count) for count in WORKERS)


AXES: Final[Mapping[str, Callable[[], Iterator[Case]]]] = {
    "subjects": _subjects,
    "subjects_with_detectors": _subjects_with_detectors,
    "detectors": _detectors,
    "partitions": _partitions,
    "record_bytes": _record_bytes,
    "records_per_step": _records_per_step,
    "late": _late,
    "schema_versions": _schema_versions,
    "workers": _workers,
}
"""What is changed, one thing at a time."""

Plan = Mapping[str, Sequence[Case]]


def planned(only: str | None) -> Plan:
    """The cases of each axis. `only` names axes, or single cases as in `workers:2`; None means all.
    Raises ValueError.
    """
    if only is None:
        return {axis: list(make()) for axis, make in AXES.items()}
    plan: dict[str, list[Case]] = {}
    for word in only.split(","):
        axis, _, name = word.strip().partition(":")
        if axis not in AXES:
            raise ValueError(
                f"{axis!r} is nothing that can be changed; there are {', '.join(AXES)}"
            )
        cases = list(AXES[axis]())
        chosen = [case for case in cases if name in ("", case.name)]
        if not chosen:
            raise ValueError(
                f"{axis} has no case {name!r}; there are {', '.join(case.name for case in cases)}"
            )
        plan.setdefault(axis, []).extend(chosen)
    return plan


def events_of(case: Case, events: int) -> int:
    """How long the backlog of a case is, where `events` are asked for."""
    events = max(events, _TIMES_SEEN * case.warm_up)
    if case.text:
        events = min(events, _MOST_BYTES // case.text)
    if case.batch_records is not None:
        events = min(events, _MOST_STEPS * case.batch_records)
    return events


def run(
    plan: Plan, events: int, repeat: int, screen: Screen
) -> tuple[dict[str, dict[str, Rate]], list[str]]:
    """Every case of the plan, one that stands on several axes once; and why those failed that are
    not there.
    """
    known: dict[Case, Rate] = {}
    found: dict[str, dict[str, Rate]] = {axis: {} for axis in plan}
    failed: list[str] = []
    cases = [(axis, case) for axis in plan for case in plan[axis]]
    for done, (axis, case) in enumerate(cases, 1):
        same, named = replace(case, name=""), replace(case, name=f"{axis} {case.name}")
        try:
            if same not in known:
                known[same] = middle(
                    [measured(named, events_of(case, events), screen) for _ in range(repeat)]
                )
            found[axis][case.name] = known[same]
        except BenchmarkFailed as why:
            # The others took minutes, and are worth telling.
            failed.append(f"{named.name}: {why}")
            screen.note(failed[-1])
        screen.note(f"{done} of {len(cases)} cases")
    return found, failed


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=(__doc__ or "").splitlines()[0],
        epilog="Example: python -m benchmarks.scaling --only subjects,workers:2 --json",
    )
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    parser.add_argument(
        "--only", help=f"some of {', '.join(AXES)}; or single cases, as in workers:2 (all)"
    )
    parser.add_argument(
        "--events", type=int, default=4_000_000, help="events of a backlog (4,000,000)"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each case; the median is told (1)"
    )
    options = parser.parse_args(arguments)
    if options.events < 1 or options.repeat < 1:
        parser.error("--events and --repeat are 1 or more")
    try:
        plan = planned(options.only)
    except ValueError as why:
        parser.error(str(why))
    screen, described = Screen(options.json), machine()
    end_in_order()
    found, failed = run(plan, options.events, options.repeat, screen)
    screen.results(
        described,
        [_sheet(axis, rates) for axis, rates in found.items()],
        _whole(found, options.events),
    )
    if failed:
        sys.exit("\n".join(f"benchmarks.scaling: {why}" for why in failed))


def _whole(found: Mapping[str, Mapping[str, Rate]], events: int) -> dict[str, Json]:
    told: dict[str, Json] = {
        axis: {name: asdict(rate) for name, rate in rates.items()} for axis, rates in found.items()
    }
    return {**told, "backlog": events, "event_rate": EVENT_RATE}


def _sheet(axis: str, rates: Mapping[str, Rate]) -> Sheet:
    columns = (
        "",
        "events / CPU s",
        "µs of CPU",
        "events / wall s",
        "records / step",
        "in flushes",
        "PSS MB",
        "state MB",
    )
    rows = [
        (
            name,
            f"{rate.events_per_cpu_s:,}",
            f"{1e6 / rate.events_per_cpu_s:.2f}",
            f"{rate.events_per_wall_s:,}",
            f"{rate.records_per_step:,}",
            f"{rate.flush_share:.1%}",
            f"{rate.pss_mb:,}",
            f"{rate.state_bytes / 2**20:,.1f}",
        )
        for name, rate in rates.items()
    ]
    return Sheet(axis.replace("_", " "), columns, rows)


if __name__ == "__main__":
    main()
