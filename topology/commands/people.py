"""`sentinel silence`, `sentinel acknowledge` and `sentinel close`: commands about incidents."""

import re
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schemas.errors import UserError
from topology.commands.options import Config, settings_from, show_table

if TYPE_CHECKING:
    from schemas.records.control import Command
    from topology.control.commanding import CurrentSilence
    from topology.settings.installation import Settings

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_S: Final = 366 * 86_400
ANSWER_S: Final = 5.0
"""For what `alert` says to a command; it obeys within a second."""

Tenant = Annotated[str | None, typer.Option(help="The tenant; may also be a matcher, tenant=NAME.")]
Author = Annotated[
    str | None, typer.Option(help="Author, shown to others. Default: the user who is logged in.")
]


def silence(
    matchers: Annotated[
        list[str] | None,
        typer.Argument(
            help=(
                "tenant=T and conditions that must all hold: FIELD=VALUE, FIELD!=VALUE,"
                " severity<=medium."
            )
        ),
    ] = None,
    config: Config = None,
    span: Annotated[
        str | None, typer.Option("--for", help="How long: 90s, 30m, 2h, 3d, 1w.")
    ] = None,
    comment: Annotated[str, typer.Option(help="Reason, shown to others.")] = "",
    author: Author = None,
    tenant: Tenant = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Silence all incidents of the tenant, without any condition."),
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Only print the silences that have not ended.")
    ] = False,
    expire: Annotated[
        str | None, typer.Option(help="End this silence (its id) now.", metavar="ID")
    ] = None,
) -> None:
    """Hold messages about some incidents back for a while.

    Fields are application, incident, model, user, metric, detector and severity. FIELD=VALUE holds
    where an incident names this value and no other. An incident that is still open when the silence
    ends is notified then; one that was notified before and resolves meanwhile is notified as
    resolved.
    """
    named, conditions = _tenant_of(matchers or [], tenant)
    settings = settings_from(config)
    if listing:
        _list(settings, named)
    elif expire is not None:
        _expire(settings, expire, named, author or _user(), comment)
    else:
        _silence(
            settings, named, conditions, span, author or _user(), comment, everything=everything
        )


def acknowledge(
    incident: Annotated[str, typer.Argument(help="Id of the incident.", metavar="INCIDENT")],
    tenant: Annotated[str, typer.Option(help="Its tenant.")],
    config: Config = None,
    comment: Annotated[str, typer.Option(help="What is being done, shown to others.")] = "",
    author: Author = None,
) -> None:
    """Acknowledge an incident: receivers are notified once, and it is not repeated.

    Receivers are notified of a higher severity and of its end as before.
    """
    from schemas.records.control import CommandKind
    from topology.control.commanding import about

    settings = settings_from(config)
    command = about(
        CommandKind.ACKNOWLEDGE,
        tenant,
        incident,
        author=author or _user(),
        comment=comment,
        now=_now_us(),
    )
    typer.echo(f"acknowledgement of {incident} of {tenant}{_carried_out(settings, command)}")


def close(
    incident: Annotated[str, typer.Argument(help="Id of the incident.", metavar="INCIDENT")],
    tenant: Annotated[str, typer.Option(help="Its tenant.")],
    config: Config = None,
    comment: Annotated[str, typer.Option(help="Why it is over, shown to others.")] = "",
    author: Author = None,
) -> None:
    """Close an incident that does not resolve: one without data, or one of a state that is wanted.

    A fault that still lasts opens no other incident before it has been normal once; other faults
    do.
    """
    from schemas.records.control import CommandKind
    from topology.control.commanding import about

    settings = settings_from(config)
    command = about(
        CommandKind.CLOSE,
        tenant,
        incident,
        author=author or _user(),
        comment=comment,
        now=_now_us(),
    )
    typer.echo(f"end of {incident} of {tenant}{_carried_out(settings, command)}")


def _silence(
    settings: "Settings",
    tenant: str | None,
    conditions: tuple[str, ...],
    span: str | None,
    author: str,
    comment: str,
    *,
    everything: bool,
) -> None:
    from topology.control.commanding import silence as command_of

    if tenant is None:
        raise UserError("a silence is for one tenant; add tenant=NAME")
    if not conditions and not everything:
        raise UserError(
            f"this would silence every incident of {tenant}; add conditions, or --all if that is"
            " meant"
        )
    if span is None:
        raise UserError("give a duration, such as --for 2h")
    now = _now_us()
    ends_at = now + round(seconds_of(span) * 1e6)
    command = command_of(
        tenant, conditions, author=author, comment=comment, now=now, ends_at=ends_at
    )
    said = _carried_out(settings, command)
    what = " ".join(conditions) or "every incident"
    typer.echo(f"silence {command.id} of {tenant} until {_time(ends_at)}: {what}{said}")


def _expire(
    settings: "Settings", silence_id: str, tenant: str | None, author: str, comment: str
) -> None:
    from schemas.records.control import CommandKind
    from topology.control.commanding import about, silences

    _reach(settings)
    key = settings.worker.control_key
    found = [
        one
        for one in silences(settings.broker, key, _now_us(), tenant)
        if one.command.id == silence_id
    ]
    if not found:
        raise UserError(
            f"there is no silence {silence_id} that has not ended; `sentinel silence --list` shows"
            " them"
        )
    owner = found[0].command.tenant
    command = about(
        CommandKind.EXPIRE, owner, silence_id, author=author, comment=comment, now=_now_us()
    )
    typer.echo(f"end of silence {silence_id} of {owner}{_carried_out(settings, command)}")


def _list(settings: "Settings", tenant: str | None) -> None:
    from topology.control.commanding import silences

    _reach(settings)
    found = silences(settings.broker, settings.worker.control_key, _now_us(), tenant)
    if not found:
        typer.echo("no silence" + (f" of {tenant}" if tenant else ""))
        return
    show_table(
        ("id", "tenant", "until", "author", "for", "comment", "state"),
        [
            (
                one.command.id,
                one.command.tenant,
                _time(one.command.ends_at or 0),
                one.command.author,
                " ".join(one.command.matchers) or "every incident",
                one.command.comment,
                _state(one),
            )
            for one in found
        ],
    )


def _carried_out(settings: "Settings", command: "Command") -> str:
    """What the stage that obeys says came of it, to be added to a line. Raises UserError when it
    refuses.
    """
    from schemas.records.control import AuditOutcome, CommandKind
    from topology.control.commanding import carried_out

    _reach(settings)
    stage = "correlate" if command.kind is CommandKind.CLOSE else "alert"
    answer = carried_out(settings.broker, command, settings.worker.control_key, ANSWER_S)
    if answer is None:
        return (
            f": waiting, {stage} has not processed it within {ANSWER_S:g} s; it will when it runs"
        )
    if answer.outcome is AuditOutcome.REFUSED:
        raise UserError(
            f"{command.kind} {command.target or command.id} of {command.tenant} is refused:"
            f" {answer.detail}"
        )
    return f": {answer.outcome}" + (
        f", {answer.detail}" if answer.outcome is AuditOutcome.REPEATED else ""
    )


def _state(silence: "CurrentSilence") -> str:
    from topology.control.commanding import SilenceState

    match silence.state:
        case SilenceState.REFUSED:
            return f"refused: {silence.detail}"
        case SilenceState.ENDING | SilenceState.ENDED:
            return f"{silence.state} by {silence.expired_by}"
        case _:
            return silence.state


def seconds_of(span: str) -> float:
    """Seconds of a span such as 90s, 1h30m, 2d. Raises UserError.

    >>> seconds_of("1h30m"), seconds_of("2d")
    (5400.0, 172800.0)
    """
    parts = _SPAN.findall(span)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != span or total <= 0:
        raise UserError(f"invalid duration {span!r}; write 90s, 30m, 2h, 3d or 1w")
    if total > _LONGEST_S:
        raise UserError(f"{span} is longer than a year")
    return total


def _tenant_of(words: list[str], tenant: str | None) -> tuple[str | None, tuple[str, ...]]:
    from agents.alerting.matching import Matcher

    named = {word.removeprefix("tenant=") for word in words if word.startswith("tenant=")} | (
        {tenant} - {None}
    )
    if len(named) > 1:
        raise UserError(f"give one tenant, not several: {', '.join(sorted(filter(None, named)))}")
    conditions = sorted({word for word in words if not word.startswith("tenant=")})
    try:
        parsed = tuple(str(Matcher.parse(word)) for word in conditions)
    except ValueError as fault:
        raise UserError(str(fault)) from fault
    return next(iter(named), None) or None, parsed


def _reach(settings: "Settings") -> None:
    from streams.client.brokers import reach

    reach(settings.broker)


def _user() -> str:
    import getpass

    return getpass.getuser()


def _now_us() -> int:
    return time.time_ns() // 1000


def _time(at: int) -> str:
    from agents.alerting.messages import iso

    return iso(at)[:19] + "Z"
