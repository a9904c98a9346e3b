"""Results of all rounds as a table and as one object."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from benchmarks.peers.catalogue import Engine
from benchmarks.peers.running import Run
from benchmarks.peers.work import EVENT_RATE
from tests.harness.installation import PARTITIONS
from tests.harness.showing import Json, Sheet

Results: TypeAlias = dict[int, list[dict[str, Run]]]
"""Keys to the rounds, each with every engine's run."""


def whole(results: Results, engines: Sequence[Engine], events: int) -> dict[str, Json]:
    """Each engine's events per CPU second at the first number of keys, those at the others, and
    what else was measured.
    """
    first, *others = results
    return {
        **_rates(results[first], engines),
        "keys": first,
        "by_keys": {str(keys): _rates(results[keys], engines) for keys in others},
        "runs": {str(keys): _runs(rounds, engines) for keys, rounds in results.items()},
        "checked": {str(keys): _checked(rounds, engines) for keys, rounds in results.items()},
        "events": {engine.name: engine.events(events) for engine in engines},
        "event_rate": EVENT_RATE,
    }


def sheet(results: Results, engines: Sequence[Engine], events: int) -> Sheet:
    """A row for each number of keys and engine."""
    rows = []
    for keys, rounds in results.items():
        for engine in engines:
            runs = [one[engine.name] for one in rounds]
            rates = [run.speed.events_per_cpu_s for run in runs]
            walls = [run.speed.events / run.speed.wall_s for run in runs]
            checked = [run.checked for run in runs if run.checked is not None]
            rows.append(
                (
                    f"{keys:,}",
                    engine.name,
                    f"{round(statistics.median(rates)):,}",
                    f"{min(rates):,} - {max(rates):,}" if len(rates) > 1 else "one run",
                    f"{round(statistics.median(walls)):,}",
                    f"{max(run.speed.rss_mb for run in runs):,.0f}",
                    f"{engine.events(events):,}",
                    f"{min(checked):,}" if checked else "",
                )
            )
    columns = (
        "keys",
        "engine",
        "events / CPU s",
        "spread",
        "events / wall s",
        "RSS MB",
        "events",
        "windows right",
    )
    return Sheet(
        f"The same windows by each engine, {PARTITIONS} partitions, median of"
        f" {len(next(iter(results.values())))}",
        columns,
        rows,
        "client only fetches, an object for each record; windows right are the fewest of the runs",
    )


def _rates(rounds: Sequence[Mapping[str, Run]], engines: Sequence[Engine]) -> dict[str, Json]:
    return {engine.name: round(statistics.median(_speeds(rounds, engine))) for engine in engines}


def _runs(rounds: Sequence[Mapping[str, Run]], engines: Sequence[Engine]) -> dict[str, Json]:
    return {engine.name: _speeds(rounds, engine) for engine in engines}


def _speeds(rounds: Sequence[Mapping[str, Run]], engine: Engine) -> list[int]:
    return [one[engine.name].speed.events_per_cpu_s for one in rounds]


def _checked(rounds: Sequence[Mapping[str, Run]], engines: Sequence[Engine]) -> dict[str, Json]:
    return {
        engine.name: min(one[engine.name].checked or 0 for one in rounds)
        for engine in engines
        if engine.writes
    }
