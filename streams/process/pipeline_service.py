"""A read-prepare-write-commit pipeline as the work of a process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from aiokafka.structs import TopicPartition

from streams.client.committing import Committer
from streams.client.pipeline import B, Pipeline
from streams.process.runtime import Work, every

_LAG_S: Final = 5.0
_TOPICS_S: Final = 3.0


class PipelineService:
    """See `streams.process.serving.Service`.

    `opens` is awaited in order before the pipeline begins, and `closes` in order after it has
    ended. `report_lag` gets what `Pipeline.lags` knows, every few seconds. `rounds` run beside it
    while it is open.
    """

    def __init__(
        self,
        pipeline: Pipeline[B],
        committer: Committer,
        opens: Sequence[Work],
        closes: Sequence[Work],
        report_lag: Callable[[Mapping[TopicPartition, int]], None],
        rounds: Sequence[Work] = (),
    ) -> None:
        self._pipeline, self._opens, self._closes = pipeline, opens, closes
        self._report_lag = report_lag
        self.rounds: Sequence[Work] = (
            partial(every, _LAG_S, self._look_at_lag),
            partial(every, _TOPICS_S, committer.check_topics),
            *rounds,
        )

    @property
    def ready(self) -> bool:
        """Whether the group has assigned partitions."""
        return self._pipeline.ready

    @property
    def moves(self) -> int:
        """Grows with every fetch and every batch that is written."""
        return self._pipeline.moves

    def lanes_with_work(self) -> Mapping[int, int]:
        """See `Pipeline.lanes_with_work`."""
        return self._pipeline.lanes_with_work()

    async def open(self) -> None:
        """Opens what the pipeline needs."""
        for each in self._opens:
            await each()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs the pipeline."""
        await self._pipeline.run(stop)

    async def check(self) -> None:
        """Raises what a commit or one of the client's own tasks failed with."""
        self._pipeline.check()

    async def close(self) -> None:
        """Closes what was opened; also what was not opened yet."""
        for each in self._closes:
            await each()

    async def _look_at_lag(self) -> None:
        lags = await self._pipeline.lags()
        if lags is not None:
            self._report_lag(lags)
