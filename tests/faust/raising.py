"""`python -m tests.faust.raising WHERE worker STAGE ...`: a worker of ours in which one callback that Faust calls raises."""

import sys
from collections.abc import Callable
from typing import Any

from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance

from agents.courier import Courier
from streams.hardened import LaneConsumer
from streams.lanes import LaneSet
from streams.sending import KafkaSender
from streams.settings_log import SettingsLog
from topology.cli import main

WHERE: dict[str, tuple[type, str]] = {
    "start": (KafkaSender, "start"),
    "restore": (LaneSet, "assign"),
    "seek": (LaneConsumer, "perform_seek"),
    "suspend": (LaneSet, "suspend"),
    "agent": (LaneSet, "take"),
    "flush": (LaneSet, "flush_due"),
    "tick": (LaneSet, "quiet"),
    "settings": (SettingsLog, "_follow"),
    "companion": (Courier, "run"),
    "stop": (LaneSet, "close"),
    "group": (CoordinatorGroupRebalance, "perform_group_join"),
}
"""Whose method raises instead of what it does. `group` is no callback of ours: a bug in the client's own task, which nobody awaits."""


class Raised(Exception):
    """Nothing catches it."""


def break_it(where: str) -> None:
    """Puts the raising method in place."""
    kind, name = WHERE[where]
    stock: Callable[..., Any] = getattr(kind, name)

    def raises(*args: object, **kwargs: object) -> None:
        raise Raised(f"in {where}")

    async def raises_awaited(*args: object, **kwargs: object) -> None:
        raises()

    setattr(kind, name, raises if where == "tick" else raises_awaited)
    assert getattr(kind, name) is not stock


if __name__ == "__main__":
    break_it(sys.argv[1])
    main(sys.argv[2:])
