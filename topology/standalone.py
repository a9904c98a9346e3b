"""One process per stage on one machine: which they are, and the topics they need first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from streams.brokers import reach
from streams.settings import Broker, Lanes
from streams.topics import STAGES, TopicNames, create, specs, wake
from topology.supervisor import Child, sentinel


def make_topics(broker: Broker, lanes: Lanes) -> None:
    """Make the topics that are missing. Raises what `reach` and `create` raise."""
    admin, _ = reach(broker)
    wanted = specs(TopicNames(broker.topic_prefix), lanes)
    if broker.embedded:
        wake(admin, wanted)
    else:
        create(admin, wanted)


CRASH_NOTE: Final = "SENTINEL_CRASH_NOTE"
"""Environment variable with the file in which a detect worker notes what it decodes."""


def api_process(config: Path | None) -> Child:
    """The API over the store that the sink writes."""
    return Child("api", sentinel("api", *_options(config)))


def stage_processes(
    config: Path | None,
    note: Path,
    health_port: int = 0,
    environment: Mapping[str, str] | None = None,
    stages: Sequence[str] = STAGES,
) -> list[Child]:
    """A worker for each stage. Those that serve health on a given port get it and the ones after it, in the order of the stages; `note` is where
    detect notes what it decodes."""
    return [
        Child(
            stage,
            sentinel("worker", stage, *_options(config)),
            {
                CRASH_NOTE: str(note),
                **(environment or {}),
                **({"SENTINEL_WORKER__HEALTH_PORT": str(health_port + index)} if health_port else {}),
            },
        )
        for index, stage in enumerate(stages)
    ]


def _options(config: Path | None) -> list[str]:
    return ["--config", str(config)] if config is not None else []
