"""`sentinel init`: a settings file and its secrets, to begin with."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from schemas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
CONTROL_KEY, API_TOKEN, HOOK_SECRET, PASSWORD = (
    "control-key",
    "api-token",
    "hook-secret",
    "kafka-password",
)


def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder to write into; created if it is missing.")
    ] = Path(),
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            help=(
                "Kafka's host:port, several with commas. Asked for in a terminal; else"
                " 127.0.0.1:9092."
            )
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            help=(
                "https address to notify of incidents. Asked for in a terminal; default: the log."
            )
        ),
    ] = None,
    username: Annotated[
        str | None,
        typer.Option(
            help="User at Kafka, over TLS; its password is read from standard input, or asked for."
        ),
    ] = None,
    partitions: Annotated[
        int,
        typer.Option(
            min=1, help="Lanes: the most workers that a stage will ever have. It cannot grow later."
        ),
    ] = 12,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")
    ] = False,
) -> None:
    """Write sentinel.yaml, and beside it a file for each secret that only you can read. Files that
    exist are never overwritten.
    """
    import sys

    asks = sys.stdin.isatty() and not dry_run
    if bootstrap_servers is None:
        bootstrap_servers = (
            typer.prompt("Kafka's host:port", default="127.0.0.1:9092")
            if asks
            else "127.0.0.1:9092"
        )
    if webhook is None and asks:
        webhook = typer.prompt(
            "https address to notify of incidents (empty: only the log)",
            default="",
            show_default=False,
        )
    password = None
    if username is not None and not dry_run:
        password = (
            typer.prompt(f"Password of {username}", hide_input=True)
            if asks
            else sys.stdin.readline().rstrip("\r\n")
        )
        if not password:
            raise UserError(f"no password of {username} on standard input")
    files = _files(bootstrap_servers, webhook or None, username, password, partitions)
    if dry_run:
        for name, content in files.items():
            typer.echo(
                f"would write {folder / name}"
                + (":" if name.endswith(".yaml") else ", readable by you alone")
            )
            if name.endswith(".yaml"):
                typer.echo("".join(f"    {line}\n" for line in content.splitlines()), nl=False)
        return
    _write(folder, files)
    for name in files:
        typer.echo(f"wrote {folder / name}")
    path = folder / "sentinel.yaml"
    typer.echo(
        f"next: sentinel settings validate {path}, then sentinel topics create --config {path}"
    )


def _files(
    bootstrap_servers: str,
    webhook: str | None,
    username: str | None,
    password: str | None,
    partitions: int,
) -> "Mapping[str, str]":
    """What is written, by name; the settings last, so that they name nothing that is not there."""
    import base64
    import json
    import secrets

    broker = [f"  bootstrap_servers: {json.dumps(bootstrap_servers)}"]
    files = {CONTROL_KEY: secrets.token_hex(32), API_TOKEN: secrets.token_hex(32)}
    if username is not None:
        broker += [
            "  tls: true",
            f"  username: {json.dumps(username)}",
            f"  password_file: {PASSWORD}",
        ]
        files[PASSWORD] = password or ""
    receiver = "    - {name: log, kind: log}"
    if webhook is not None:
        files[HOOK_SECRET] = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        receiver = (
            f"    - {{name: hook, kind: webhook, url: {json.dumps(webhook)}, secret_file:"
            f" {HOOK_SECRET}}}"
        )
    text = _TEXT.format(
        broker="\n".join(broker),
        partitions=partitions,
        receiver=receiver,
        key=CONTROL_KEY,
        token=API_TOKEN,
    )
    return {**{name: f"{content}\n" for name, content in files.items()}, "sentinel.yaml": text}


_TEXT: Final = """# Every setting with its unit and default: docs/settings.md
# Check this file with: sentinel settings validate sentinel.yaml
broker:
{broker}
lanes:
  partitions: {partitions}    # the most workers that a stage will ever have; it cannot grow
alerting:
  receivers:
{receiver}
store:
  kind: embedded    # one SQLite file; give a whole path for real use
  path: sentinel.db
api:
  token_file: {token}
worker:
  control_key_file: {key}    # signs commands and settings; the same for every worker
"""


def _write(folder: Path, files: "Mapping[str, str]") -> None:
    """All of them, or none. Raises UserError."""
    there = [
        str(folder / name)
        for name in files
        if (folder / name).exists() or (folder / name).is_symlink()
    ]
    if there:
        raise UserError(
            f"{', '.join(there)} exists already, and nothing is overwritten; choose another folder"
        )
    written: list[Path] = []
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for name, content in files.items():
            # Made with its mode: between making and changing it others could have opened it.
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
            written.append(folder / name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
    except OSError as fault:
        for path in written:
            path.unlink(missing_ok=True)
        raise UserError(
            f"cannot write into {folder}: {fault.strerror}; nothing was left there"
        ) from fault
