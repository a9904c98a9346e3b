"""`sentinel capacity`: how many workers, partitions, how much memory and disk a load takes, with
what was measured.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import UserError
from topology.commands.options import show_table

if TYPE_CHECKING:
    from topology.capacity.demand import Demand
    from topology.capacity.planning import Plan


def capacity(
    events_per_s: Annotated[
        float,
        typer.Option(help="Events a second of all producers, when most comes.", show_default=False),
    ],
    subjects: Annotated[
        int, typer.Option(help="Applications times their models.", show_default=False)
    ],
    users: Annotated[int, typer.Option(help="Users that events name, each with a profile.")] = 0,
    record_bytes: Annotated[
        float | None,
        typer.Option(
            help=(
                "Bytes of an event's record before compression. Default: those of recorded traffic"
                " without texts."
            )
        ),
    ] = None,
    detectors: Annotated[
        bool,
        typer.Option(
            "--detectors/--windows-only", help="All detectors, or windows and aggregates alone."
        ),
    ] = True,
    retention_days: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "WHAT=DAYS, for telemetry, aggregates, anomalies (topics), stored-events,"
                " stored-aggregates, stored-anomalies "
                "(store); repeat it for more. Default: as topics and store keep them."
            ),
            show_default=False,
        ),
    ] = None,
    store: Annotated[str, typer.Option(help="elasticsearch, embedded or none.")] = "elasticsearch",
    stored_share: Annotated[
        float, typer.Option(help="Share of the events that the store keeps, 0 to 1.")
    ] = 0.0,
    replicas: Annotated[int, typer.Option(help="Copies of each topic.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object, with every constant.")
    ] = False,
) -> None:
    """Turn events a second, subjects and retention into workers, partitions, memory and disk, each
    with its reason and its headroom.
    """
    from topology.capacity.demand import DAYS, CapacityRefused, Demand
    from topology.capacity.measured import USUAL_RECORD
    from topology.capacity.planning import planned

    try:
        days = {**DAYS, **dict(map(_days, retention_days or ()))}
        size = USUAL_RECORD.value if record_bytes is None else record_bytes
        plan = planned(
            Demand(
                events_per_s, subjects, users, size, detectors, store, stored_share, replicas, days
            )
        )
    except CapacityRefused as why:
        raise UserError(str(why)) from why
    if as_json:
        typer.echo(_object(plan))
    else:
        _show(plan)


def _days(word: str) -> tuple[str, float]:
    from topology.capacity.demand import DAYS

    what, _, days = word.partition("=")
    if what not in DAYS:
        raise UserError(f"--retention-days {word}: there is {', '.join(DAYS)}, as in telemetry=3")
    try:
        return what, float(days)
    except ValueError:
        raise UserError(
            f"--retention-days {word}: {days!r} is no number of days, as in {what}=3"
        ) from None


def _show(plan: "Plan") -> None:
    from topology.capacity.measured import BUSY, FREE, MACHINE

    typer.echo(f"{_asked(plan.demand)}\n")
    rows = [
        (
            line.group,
            line.name,
            f"{line.value:,.0f}" if line.value >= 10 else f"{line.value:,.3g}",
            line.unit,
            line.why,
        )
        for line in plan.lines
    ]
    show_table(("", "what", "value", "unit", "why"), rows)
    typer.echo(
        f"\nHeadroom is in it: a detect worker and a sink are at most {BUSY.value:.0%} busy,"
        f" {FREE.value:.0%} of memory and disk stay free.\nMeasured on {MACHINE}; on others,"
        " repeat the measurement with the commands named."
    )


def _asked(demand: "Demand") -> str:
    what = "all detectors" if demand.detectors else "windows only"
    return (
        f"{demand.events_per_s:,.6g} events a second, {demand.subjects:,} subjects,"
        f" {demand.users:,} users, {what}"
    )


def _object(plan: "Plan") -> str:
    import dataclasses
    import json

    from topology.capacity.measured import BUSY, CONSTANTS, FREE, MACHINE

    return json.dumps(
        {
            "demand": {
                **dataclasses.asdict(dataclasses.replace(plan.demand, days={})),
                "days": dict(plan.demand.days),
            },
            "workers": plan.workers,
            "partitions": plan.partitions,
            "memory_mb": plan.of("memory"),
            "disk_gb": {name: round(gb, 3) for name, gb in plan.of("disk").items()},
            "seconds": {name: round(seconds, 1) for name, seconds in plan.of("time").items()},
            "headroom": {"busy_at_most": BUSY.value, "free_memory_and_disk": FREE.value},
            "lines": [dataclasses.asdict(line) for line in plan.lines],
            "constants": {
                name: dataclasses.asdict(constant) for name, constant in CONSTANTS.items()
            },
            "machine": MACHINE,
        }
    )
