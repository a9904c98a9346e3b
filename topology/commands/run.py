"""`sentinel worker` and `sentinel standalone`: the processes that do the work."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from topology.commands.options import Config, settings_from

if TYPE_CHECKING:
    from topology.settings.installation import Settings


class Stage(StrEnum):
    """What a worker can be."""

    DETECT = "detect"
    CORRELATE = "correlate"
    ALERT = "alert"
    SINK = "sink"


def worker(
    stage: Annotated[Stage, typer.Argument(help="The stage.", show_default=False)],
    config: Config = None,
) -> None:
    """Run one worker of one stage until SIGTERM or Ctrl-C. To add a worker, start another one
    anywhere.
    """
    # Each worker has one core to itself; polars would start a thread for every core. It reads this
    # when it is imported.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # For each bad record polars would write a page of its own stack to the log.
    os.environ["RUST_BACKTRACE"] = "0"
    from topology.supervision.orphans import end_with_parent

    end_with_parent()
    settings = settings_from(config)
    if stage is Stage.SINK:
        from topology.stages.sink import run_sink

        raise typer.Exit(run_sink(settings))
    from topology.stages.build import run_worker

    raise typer.Exit(run_worker(stage.value, settings))


def standalone(
    config: Config = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="Start the embedded broker too. It keeps nothing on disk: for trials only.",
        ),
    ] = False,
) -> None:
    """Run one process per stage on this machine until SIGTERM or Ctrl-C, and restart those that
    die. Topics are created first.

    With a store (store.kind), the sink and the API run too.
    """
    if not embedded:
        _supervise(config)
        return
    from topology.supervision.embedded import EmbeddedBroker

    with EmbeddedBroker() as broker:
        typer.echo(f"sentinel: embedded broker at {broker.address}; it keeps nothing", err=True)
        # Read by this process's own settings and by its children's.
        os.environ.update(broker.environment)
        _supervise(config)


def _supervise(config: Path | None) -> None:
    import asyncio
    import tempfile

    from streams.admin.topics import STAGES
    from topology.stages.standalone import api_process, make_topics, stage_processes
    from topology.supervision.condemning import Condemner
    from topology.supervision.ports import free_port
    from topology.supervision.supervisor import Supervisor

    settings = settings_from(config)
    make_topics(settings.broker, settings.lanes)
    _publish_detection(settings)

    def say(line: str) -> None:
        typer.echo(f"sentinel: {line}", err=True)

    with tempfile.TemporaryDirectory(prefix="sentinel-") as folder:
        note = Path(folder) / "decoding"
        condemner = Condemner(settings.broker, settings.worker.control_key, note, say)
        stored = settings.store.kind != "none"
        stages = (*STAGES, Stage.SINK) if stored else STAGES
        first, ports = settings.worker.health_port, {}
        if first or stored:
            # Chosen here, since the API asks the workers how they do.
            ports = {
                stage: first + index if first else free_port() for index, stage in enumerate(stages)
            }
        children = stage_processes(config, note, ports, stages=stages)
        if stored:
            children.append(api_process(config, {} if settings.api.workers else ports))
        asyncio.run(
            Supervisor(children, say, after_death=condemner.after_death).run_until_signalled()
        )


def _publish_detection(settings: "Settings") -> None:
    """What the settings say about detection takes effect at the start. Without a key nothing can be
    published, and nothing needs to be as long as the settings say nothing.
    """
    from agents.detectors.settings import DetectionSettings
    from topology.control.publishing import publish

    if settings.worker.control_key or settings.detection != DetectionSettings():
        publish(
            settings.broker,
            settings.lanes,
            settings.detection,
            settings.worker.control_key,
            "standalone",
        )
