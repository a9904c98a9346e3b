"""`sentinel doctor`: checks everything that an installation needs."""

import json
from typing import Annotated

import typer

from topology.commands.options import Config, loaded_from, show_table


def doctor(
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with `checks` instead of a table.")
    ] = False,
) -> None:
    """Look at settings, receivers, broker, topics, groups, lanes, clocks, store and page, and say
    what to do. Changes nothing.

    The exit status is 0 when nothing has failed, warnings or not, and 1 otherwise.
    """
    from dataclasses import asdict

    from schemas.redacting import redacted_address
    from topology.doctor.checking import checked
    from topology.doctor.findings import Health

    loaded = loaded_from(config)
    found = list(checked(loaded))
    failed = any(one.health is Health.FAILED for one in found)
    if as_json:
        checks = [
            {name: redacted_address(str(value)) for name, value in asdict(one).items()}
            for one in found
        ]
        typer.echo(json.dumps({"ok": not failed, "checks": checks}))
    else:
        rows = [
            (one.what, one.health.value, redacted_address(one.detail), one.advice) for one in found
        ]
        show_table(("check", "result", "what was found", "what to do"), rows)
    if failed:
        raise typer.Exit(1)
