"""`sentinel api`: the page, and the JSON API over the store."""

import typer

from schemas.errors import UserError
from topology.commands.options import Config, settings_from


def api(config: Config = None) -> None:
    """Serve the page, and the JSON API under /api/v1, until SIGTERM or Ctrl-C. Both show the store
    that the sink writes.
    """
    import asyncio

    from connectors.store.opening import store_of
    from topology.api.commands import Commands
    from topology.api.serving import serve
    from topology.logs import configure
    from topology.supervision.orphans import end_with_parent

    end_with_parent()
    settings = settings_from(config)
    configure(settings.worker.log_level)
    store = store_of(settings.store)
    if store is None:
        raise UserError("there is no store to read: set store.kind to embedded or elasticsearch")
    try:
        commands = Commands(
            settings.broker, settings.worker.control_key, settings.api.commands_waiting
        )

        def say(line: str) -> None:
            typer.echo(f"sentinel: {line}", err=True)

        asyncio.run(
            serve(
                store,
                settings.api,
                commands,
                say,
                settings.alerting.trace_url,
                settings.lanes.tick_after_s,
            )
        )
    except OSError as fault:
        raise UserError(
            f"cannot listen on {settings.api.host}:{settings.api.port} ({fault.strerror}); set"
            " api.host and api.port"
        ) from fault
