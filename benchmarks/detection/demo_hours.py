"""Row about the demo's hour with other seeds than the demo's own, with and without its faults."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

import polars as pl

from benchmarks.detection.playing import Played, play
from benchmarks.detection.rows import Plan, Row
from tests.harness.showing import Json
from topology.backtesting.labels import Label, label_of
from topology.demo.traces.faults import FAULTS, Fault
from topology.demo.traces.scenario import events

_SEEDS: Final = 8
_FIRST_SEED: Final = 500
_START: Final = 1_799_625_600_000_000
_END_S: Final = 3_480
"""The recorded load ends soon after; what comes then is silence that nobody labelled."""

_FIELDS: Final = (
    "event_id", "event_time", "tenant", "application", "model", "user", "latency_us",
    "time_to_first_token_us", "prompt_tokens", "completion_tokens", "cost_nano", "error_type",
    "http_status", "trace_id",
)  # fmt: skip


def demo_rows(plan: Plan) -> Iterator[Row]:
    """A row for the hours with faults, and one for those without."""
    for name, faults in (("with", FAULTS), ("without", ())):
        runs = [
            _hour(_FIRST_SEED + 100 * plan.seed + place, faults)
            for place in range(plan.times(_SEEDS))
        ]
        found = [one for run in runs for one in run.matches.labels if one.found_by is not None]
        false = sum(run.result.false_incidents for run in runs)
        hours = sum(run.result.application_days for run in runs) * 24
        delays = [
            (one.found_by.event_time - one.label.start) / 1e6
            for one in found
            if one.found_by is not None
        ]
        numbers: dict[str, Json] = {
            "faults": len(faults) * len(runs),
            "found": len(found),
            "median_delay_s": median(delays) if delays else None,
            "false_per_application_hour": round(false / hours, 3) if hours else None,
            "hours": len(runs),
        }
        yield Row(
            f"demo's hour {name} faults",
            "faults found and false incidents with other seeds",
            _FIRST_SEED + 100 * plan.seed,
            len({one for run in runs for one in run.result.replay.applications}),
            numbers,
            sum(run.result.replay.events for run in runs),
            round(sum(run.cpu_s for run in runs), 2),
        )


def _hour(seed: int, faults: Sequence[Fault]) -> Played:
    made = [
        one for one in events(seed, _START, faults) if one.event_time < _START + _END_S * 1_000_000
    ]
    table = pl.DataFrame(
        {name: [getattr(one, name) for one in made] for name in _FIELDS}
        | {"status": [one.status.value for one in made]},
        infer_schema_length=None,
    )
    return play([table], [_label(fault) for fault in faults])


def _label(fault: Fault) -> Label:
    given: dict[str, str | int | None] = {
        "application": fault.application,
        "model": fault.model,
        "user": fault.user,
        "kind": fault.kind.value,
        "start": _START + fault.start_s * 1_000_000,
        "end": _START + fault.end_s * 1_000_000,
    }
    return label_of({name: value for name, value in given.items() if value is not None})
