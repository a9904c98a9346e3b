"""`sentinel incidents`, `anomalies`, `messages` and `audit`: lists of what the store keeps."""

import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.errors import UserError
from topology.commands.options import Config, settings_from, show_table

if TYPE_CHECKING:
    from schemas.documents import Kind
    from topology.commands.asking import Item, Question, Source


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


Application = Annotated[str | None, typer.Option(help="Only of this application.")]
Severities = Annotated[
    list[Severity] | None,
    typer.Option("--severity", help="Only of this severity; repeat it for more."),
]


@dataclass(frozen=True, slots=True)
class Listing:
    """Options of every list. A command that has a parameter `given` of this type, or of a subtype,
    has all of them (`with_shared_options`).
    """

    config: Config = None
    tenant: Annotated[
        str | None, typer.Option(help="Only of this tenant. Default: every tenant.")
    ] = None
    since: Annotated[
        str | None,
        typer.Option(help="Only from this time on: 90s, 30m, 2h, 3d, or 2026-05-28T20:00:00Z."),
    ] = None
    limit: Annotated[int, typer.Option(help="Maximum number of entries: 1 to 1,000.")] = 50
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with `items` instead of a table.")
    ] = False


@dataclass(frozen=True, slots=True)
class StoredListing(Listing):
    """Options of every list that comes from the store."""

    api: Annotated[
        str | None,
        typer.Option(
            help=(
                "Ask the API at this address, with the token of api.token. Default: read the store"
                " that the settings name."
            )
        ),
    ] = None
    token_file: Annotated[
        Path | None, typer.Option(help="File with another token for --api, such as a tenant's own.")
    ] = None


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its parameter `given` as options, after its own ones."""
    own = list(inspect.signature(command).parameters.values())
    shared = next(each.annotation for each in own if each.name == "given")
    own = [each for each in own if each.name != "given"]
    added = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=each.type,
        )
        for each in fields(shared)
    ]

    @wraps(command)
    def run(**options: Any) -> None:
        given = shared(**{each.name: options.pop(each.name) for each in added})
        command(given=given, **options)

    # Typer reads both.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return run


@with_shared_options
def incidents(
    *,
    given: StoredListing,
    application: Application = None,
    state: Annotated[
        str | None, typer.Option(help="Only of this state: open, resolved, given_up or closed.")
    ] = None,
    severity: Severities = None,
) -> None:
    """List incidents, newest first. --since refers to when they opened."""
    from schemas.documents import Kind
    from schemas.records.incidents import IncidentState

    known = [one.value for one in IncidentState]
    if state is not None and state not in known:
        raise UserError(f"unknown state {state!r}; use one of {', '.join(known)}")
    equal = {} if state is None else {"state": state}
    question = _question(Kind.INCIDENT, given, application, severity, equal)
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
    _print(_source(given).ask(question), columns, "no incidents", given.as_json)


@with_shared_options
def anomalies(
    *,
    given: StoredListing,
    application: Application = None,
    severity: Severities = None,
    metric: Annotated[str | None, typer.Option(help="Only of this metric.")] = None,
) -> None:
    """List anomalies, newest first. `sentinel explain ID` shows the evidence of one."""
    from schemas.documents import Kind

    equal = {} if metric is None else {"metric": metric}
    question = _question(Kind.ANOMALY, given, application, severity, equal)
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
    _print(_source(given).ask(question), columns, "no anomalies", given.as_json)


@with_shared_options
def messages(
    *,
    given: StoredListing,
    incident: Annotated[
        str | None, typer.Option(help="Only about the incident with this id.")
    ] = None,
    receiver: Annotated[str | None, typer.Option(help="Only to this receiver.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only of this outcome, such as delivered or suppressed.")
    ] = None,
) -> None:
    """List decisions about messages and their deliveries: why was a receiver notified, or not?"""
    from schemas.documents import Kind
    from schemas.records.notifications import NotificationOutcome

    known = [one.value for one in NotificationOutcome]
    if outcome is not None and outcome not in known:
        raise UserError(f"unknown outcome {outcome!r}; use one of {', '.join(known)}")
    wanted = {"incident_id": incident, "receiver": receiver, "outcome": outcome}
    equal = {name: value for name, value in wanted.items() if value is not None}
    question = _question(Kind.NOTIFICATION, given, None, None, equal)
    columns = ("at", "outcome", "receiver", "reason", "tenant", "incident_id", "attempt", "detail")
    _print(_source(given).ask(question), columns, "no messages", given.as_json)


@with_shared_options
def audit(*, given: Listing) -> None:
    """List commands of people (silences, acknowledgements, closed incidents) and their outcomes,
    from the topic `audit`.
    """
    from dataclasses import asdict

    from streams.client.brokers import reach
    from topology.commands.asking import with_iso_times
    from topology.control.commanding import audits

    broker = settings_from(given.config).broker
    reach(broker)
    found = audits(broker, given.tenant, _moment(given.since))[: given.limit]
    columns = ("at", "action", "outcome", "tenant", "author", "target", "detail")
    _print([with_iso_times(asdict(one)) for one in found], columns, "no commands", given.as_json)


def _question(
    kind: "Kind",
    given: Listing,
    application: str | None,
    severities: Sequence[Severity] | None,
    equal: Mapping[str, str],
) -> "Question":
    from schemas.records.anomalies import Severity as Graded
    from topology.commands.asking import Question

    graded = tuple(Graded(one.value) for one in severities or ())
    since = _moment(given.since)
    return Question(kind, given.tenant, since, application, graded, equal, given.limit)


def _source(given: StoredListing) -> "Source":
    from schemas.secrets import Secret
    from topology.commands.asking import FromApi, FromStore

    settings = settings_from(given.config)
    if given.api is None:
        if given.token_file is not None:
            raise UserError(
                "--token-file is for --api; the store is read with the credentials of the settings"
            )
        return FromStore(settings.store)
    if given.token_file is None:
        return FromApi(given.api, settings.api.token)
    try:
        return FromApi(given.api, Secret(given.token_file.read_text(encoding="utf-8").strip()))
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(
            f"cannot read {given.token_file}: {getattr(fault, 'strerror', 'it is not text')}"
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
