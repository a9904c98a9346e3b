"""What the replaced parts of Faust need of the app that they belong to."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from streams.lane.lane_set import LaneSet
from streams.settings import Broker
from streams.settings import Lanes as Limits


class LaneHost(Protocol):
    """An app whose one agent feeds a `LaneSet`."""

    broker: Broker
    limits: Limits
    lane_set: LaneSet
    lane_topic: str
    lanes_ready: bool

    async def restore_lanes(self, partitions: Iterable[int]) -> Mapping[int, int]:
        """Restores those of the partitions that are new; returns the position of each lane."""
        ...


def lane_app(app: Any) -> LaneHost:
    """The same app. Faust types it as any app; here every app is a `LaneHost`."""
    return cast(LaneHost, app)
