"""One process per stage on one machine: the processes, and the topics that they need."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from streams.admin.topics import STAGES, create, specs, wake
from streams.client.brokers import reach
from streams.settings import Broker, Lanes
from streams.topic_names import TopicNames
from topology.supervision.supervisor import Child, sentinel


def make_topics(broker: Broker, lanes: Lanes) -> None:
    """Make the topics that are missing. Raises what `reach` and `create` raise."""
    admin, _ = reach(broker)
    wanted = specs(TopicNames(broker.topic_prefix), lanes)
    # The embedded broker has no CreateTopics: asking for metadata creates a topic.
    if broker.embedded:
        wake(admin, wanted)
    else:
        create(admin, wanted)


CRASH_NOTE: Final = "SENTINEL_CRASH_NOTE"
"""Environment variable with the file of a detect worker's crash note."""


def api_process(config: Path | None, ports: Mapping[str, int]) -> Child:
    """The API over the sink's store.

    It asks the workers at these ports for their metrics, unless the settings name others.
    """
    asked = json.dumps([f"http://127.0.0.1:{port}" for port in ports.values()])
    return Child(
        "api", sentinel("api", *_options(config)), {"SENTINEL_API__WORKERS": asked} if ports else {}
    )


def stage_processes(
    config: Path | None,
    note: Path,
    ports: Mapping[str, int] | None = None,
    environment: Mapping[str, str] | None = None,
    stages: Sequence[str] = STAGES,
) -> list[Child]:
    """A worker for each stage. `ports` gives the health port of those that need a fixed one; `note`
    is the file of detect's crash note.
    """
    given = ports or {}
    return [
        Child(
            stage,
            sentinel("worker", stage, *_options(config)),
            {
                CRASH_NOTE: str(note),
                **(environment or {}),
                **({"SENTINEL_WORKER__HEALTH_PORT": str(given[stage])} if stage in given else {}),
            },
        )
        for stage in stages
    ]


def _options(config: Path | None) -> list[str]:
    return ["--config", str(config)] if config is not None else []
