"""`sentinel incidents`, `anomalies`, `messages` and `audit`: what was found, what was told, and
what people did.
"""

import json
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.errors import UserError
from topology.commands.options import Config, settings_from, show_table

if TYPE_CHECKING:
    from topology.commands.asking import Item, Question, Source
    from topology.settings.installation import Settings


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


Tenant = Annotated[str | None, typer.Option(help="Only of this tenant. Default: every tenant.")]
Application = Annotated[str | None, typer.Option(help="Only of this application.")]
Severities = Annotated[
    list[Severity] | None,
    typer.Option("--severity", help="Only of this severity; repeat it for more."),
]
Since = Annotated[
    str | None,
    typer.Option(help="Only from this time on: 90s, 30m, 2h, 3d, or 2026-05-28T20:00:00Z."),
]
Limit = Annotated[int, typer.Option(help="At most so many, the newest: 1 to 1,000.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object with `items` instead of a table.")
]
Api = Annotated[
    str | None,
    typer.Option(
        help=(
            "Ask the API at this address, with the token of api.token. Default: read the store of"
            " the settings."
        )
    ),
]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with another token for --api, such as a tenant's own.")
]


def incidents(
    config: Config = None,
    tenant: Tenant = None,
    application: Application = None,
    state: Annotated[
        str | None, typer.Option(help="Only of this state: open, resolved, given_up or closed.")
    ] = None,
    severity: Severities = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    api: Api = None,
    token_file: TokenFile = None,
) -> None:
    """List incidents, the newest first; --since looks at when they opened."""
    from schemas.documents import Kind
    from schemas.records.incidents import IncidentState

    known = [one.value for one in IncidentState]
    if state is not None and state not in known:
        raise UserError(f"unknown state {state!r}; use one of {', '.join(known)}")
    equal = {} if state is None else {"state": state}
    question = _question(Kind.INCIDENT, tenant, application, severity, since, equal, limit)
    columns = (
        "opened_at",
        "severity",
        "state",
        "tenant",
        "application",
        "title",
        "anomaly_count",
        "id",
    )
    _print(_source(config, api, token_file).ask(question), columns, "no incident", as_json)


def anomalies(
    config: Config = None,
    tenant: Tenant = None,
    application: Application = None,
    severity: Severities = None,
    since: Since = None,
    metric: Annotated[str | None, typer.Option(help="Only of this metric.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    api: Api = None,
    token_file: TokenFile = None,
) -> None:
    """List anomalies, the newest first. `sentinel explain ID` says why one was raised."""
    from schemas.documents import Kind

    equal = {} if metric is None else {"metric": metric}
    question = _question(Kind.ANOMALY, tenant, application, severity, since, equal, limit)
    columns = (
        "event_time",
        "severity",
        "tenant",
        "application",
        "model",
        "user",
        "metric",
        "observed",
        "expected",
        "id",
    )
    _print(_source(config, api, token_file).ask(question), columns, "no anomaly", as_json)


def messages(
    config: Config = None,
    tenant: Tenant = None,
    incident: Annotated[
        str | None, typer.Option(help="Only about the incident with this id.")
    ] = None,
    receiver: Annotated[str | None, typer.Option(help="Only to this receiver.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only of this outcome, such as delivered or suppressed.")
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    api: Api = None,
    token_file: TokenFile = None,
) -> None:
    """List what was decided about messages, and how delivery went: why was somebody told, or not?"""
    from schemas.documents import Kind
    from schemas.records.notifications import NotificationOutcome

    known = [one.value for one in NotificationOutcome]
    if outcome is not None and outcome not in known:
        raise UserError(f"unknown outcome {outcome!r}; use one of {', '.join(known)}")
    wanted = {"incident_id": incident, "receiver": receiver, "outcome": outcome}
    equal = {name: value for name, value in wanted.items() if value is not None}
    question = _question(Kind.NOTIFICATION, tenant, None, None, since, equal, limit)
    columns = ("at", "outcome", "receiver", "reason", "tenant", "incident_id", "attempt", "detail")
    _print(_source(config, api, token_file).ask(question), columns, "no message", as_json)


def audit(
    config: Config = None,
    tenant: Tenant = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what people asked for (silences, acknowledgements, closed incidents) and what came of
    it, from the topic `audit`.
    """
    from dataclasses import asdict

    from topology.commands.asking import with_iso_times
    from topology.control.commanding import audits

    settings = settings_from(config)
    _reach(settings)
    found = audits(settings.broker, tenant, _moment(since))[:limit]
    columns = ("at", "action", "outcome", "tenant", "author", "target", "detail")
    _print(
        [with_iso_times(asdict(one)) for one in found], columns, "nothing was asked for", as_json
    )


def _question(
    kind: Any,
    tenant: str | None,
    application: str | None,
    severities: Sequence[Severity] | None,
    since: str | None,
    equal: Mapping[str, str],
    limit: int,
) -> "Question":
    from schemas.records.anomalies import Severity as Graded
    from topology.commands.asking import Question

    graded = tuple(Graded(one.value) for one in severities or ())
    return Question(kind, tenant, _moment(since), application, graded, equal, limit)


def _source(config: Path | None, api: str | None, token_file: Path | None) -> "Source":
    from schemas.secrets import Secret
    from topology.commands.asking import FromApi, FromStore

    settings = settings_from(config)
    if api is None:
        if token_file is not None:
            raise UserError(
                "--token-file is for --api; the store is read with the credentials of the settings"
            )
        return FromStore(settings.store)
    if token_file is None:
        return FromApi(api, settings.api.token)
    try:
        return FromApi(api, Secret(token_file.read_text(encoding="utf-8").strip()))
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(
            f"cannot read {token_file}: {getattr(fault, 'strerror', 'it is not text')}"
        ) from fault


def _moment(since: str | None) -> int | None:
    """µs since 1970 of a span before now, or of a moment."""
    if since is None:
        return None
    if since[:4].isdigit() and "T" in since:
        from datetime import datetime

        try:
            moment = datetime.fromisoformat(since)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise UserError(f"{since!r} is not a time with an offset, such as 2026-05-28T20:00:00Z")
        return round(moment.timestamp() * 1e6)
    from topology.commands.people import seconds_of

    return time.time_ns() // 1000 - round(seconds_of(since) * 1e6)


def _print(items: "Sequence[Item]", columns: Sequence[str], none: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"items": list(items)}))
    elif not items:
        typer.echo(none)
    else:
        show_table(columns, [[_cell(item.get(column)) for column in columns] for item in items])


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:g}"
        case str() if len(value) == 27 and value.endswith("Z") and value[10] == "T":
            # A table is for people: whole seconds.
            return value[:19] + "Z"
        case _:
            return str(value)


def _reach(settings: "Settings") -> None:
    from streams.client.brokers import reach

    reach(settings.broker)
