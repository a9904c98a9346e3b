"""`python -m tests.faust.raising WHERE worker STAGE ...`: a worker of ours in which one callback
that Faust calls raises.
"""

import sys
from collections.abc import Callable
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance

import streams.faust.source_hashes  # noqa: F401 - knows the stock code before it is broken
from streams.control.settings_log import SettingsLog
from streams.faust.consumer import LaneConsumer
from streams.lane.lane_set import LaneSet
from streams.lane.outbox import Outbox
from streams.lane.producing import KafkaSender
from topology.cli import main

WHERE: dict[str, tuple[type, str]] = {
    "start": (KafkaSender, "start"),
    "restore": (LaneSet, "assign"),
    "seek": (LaneConsumer, "perform_seek"),
    "suspend": (LaneSet, "suspend"),
    "agent": (LaneSet, "process"),
    "flush": (LaneSet, "flush_due"),
    "tick": (LaneSet, "idle_partitions"),
    "settings": (SettingsLog, "_follow"),
    "companion": (Outbox, "run"),
    "stop": (LaneSet, "close"),
    "group": (CoordinatorGroupRebalance, "perform_group_join"),
    "fetch": (Fetcher, "_get_actions_per_node"),
    "fetch-settings": (Fetcher, "_get_actions_per_node"),
    "fetch-state": (Fetcher, "_get_actions_per_node"),
}
"""Whose method raises instead of what it does. `group` and those that fetch are no callbacks of
ours: bugs in the client's own tasks, which nobody awaits.
"""

_FETCHED = {"fetch": "telemetry", "fetch-settings": "settings", "fetch-state": "detect-state"}
"""Which topic's fetching raises."""

_PLAIN = {"tick", *_FETCHED}
"""Where the method is no coroutine."""


class Raised(Exception):
    """Nothing catches it."""


def break_it(where: str) -> None:
    """Puts the raising method in place."""
    kind, name = WHERE[where]
    stock: Callable[..., Any] = getattr(kind, name)

    def raises(*args: Any, **kwargs: Any) -> Any:
        if where in _FETCHED and not _fetches(_FETCHED[where], *args):
            return stock(*args, **kwargs)
        raise Raised(f"in {where}")

    async def raises_awaited(*args: object, **kwargs: object) -> None:
        raises()

    setattr(kind, name, raises if where in _PLAIN else raises_awaited)
    assert getattr(kind, name) is not stock


def _fetches(topic: str, fetcher: Any, assignment: Any) -> bool:
    """Whether it is the consumer that reads the topic; another one only asks for the committed
    offset.
    """
    return fetcher._isolation_level == READ_COMMITTED and any(
        tp.topic.endswith(topic) for tp in assignment.tps
    )


if __name__ == "__main__":
    break_it(sys.argv[1])
    main(sys.argv[2:])
