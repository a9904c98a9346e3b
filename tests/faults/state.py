"""What happens to the topics that a lane's state is in, and to those that it writes to."""

from collections.abc import Mapping
from typing import Final

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)  # type: ignore[attr-defined]

from streams.exit_status import AGAIN, REFUSED
from tests.faults.scene import Scene
from tests.harness.exactness.disturbing import works
from tests.harness.exactness.plan import PARTITIONS
from tests.harness.exactness.workers import until
from tests.harness.reference.reading import Reader
from tests.harness.showing import BenchmarkFailed

_EAGER: Final = {
    "segment.ms": "300",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
    "min.compaction.lag.ms": "0",
}
_LEAST: Final = "100"
"""Bytes: room for the marks that end transactions, without which their coordinator stands still for
good, and for nothing else.
"""
_COMPACTED_S: Final = 60.0
_TIMEOUT_S: Final = 20.0


async def compacted(scene: Scene) -> None:
    """The broker compacts the state of every stage while it is written; then workers die, and what
    is left is all they have.
    """
    names = scene.plan.names
    for stage in ("detect", "correlate", "alert"):
        _alter(scene, names.state(stage), _EAGER)
    for _ in range(5 if scene.long else 1):
        await _until_compacted(scene)
        for stage in ("detect", "correlate", "alert"):
            (worker,) = scene.group.of_stage(stage)
            await until(worker.kill, _TIMEOUT_S, f"{stage} does not run")
        for stage in ("detect", "correlate", "alert"):
            (worker,) = scene.group.of_stage(stage)
            await works(worker)


async def _until_compacted(scene: Scene) -> None:
    """Until rows are gone that detect had written, since it wrote others after them: at least those
    of its lanes' positions.
    """
    topic = scene.plan.names.state("detect")
    with Reader(scene.plan.broker) as reader:

        def rows() -> list[set[int]]:
            return [
                {row.offset for row in reader.stored(topic, lane)} for lane in range(PARTITIONS)
            ]

        before = rows()

        async def moved() -> bool:
            await scene.flow(0.01, 0.5)
            return all(then - now for now, then in zip(rows(), before, strict=True))

        await until(moved, _COMPACTED_S, "the broker does not compact")
    scene.say("the state topics have been compacted")


async def refused(scene: Scene) -> None:
    """The broker takes no record of a useful size that the stages write; then it does again."""
    names = scene.plan.names
    for topic in (names.anomalies, names.incidents, names.state("detect")):
        async with scene.harm(f"the broker refuses what is written to {topic}"):
            _alter(scene, topic, {"max.message.bytes": _LEAST})
            await scene.flow(0.05, 6.0)
            _alter(scene, topic, {"max.message.bytes": "10485760"})
        await scene.all_work()
        ended = {status for member in scene.group.members.values() for status in member.unexpected}
        scene.say(f"meanwhile workers ended with {sorted(ended) or 'nothing'}")
        if ended - {AGAIN, REFUSED}:
            raise BenchmarkFailed(f"a refused record is no bug: {sorted(ended)}")
        for member in scene.group.members.values():
            member.forgive()


def _alter(scene: Scene, topic: str, config: Mapping[str, str]) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": scene.plan.bootstrap})
    admin.incremental_alter_configs([resource], request_timeout=_TIMEOUT_S)[resource].result()
