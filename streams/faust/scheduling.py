"""The order of fetched blocks: joined to steps, round robin over partitions."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from streams.records.blocks import STEP_RECORDS, Block


class Coalesce(DefaultSchedulingStrategy):
    """Faust's order of records, after what one fetch brought for a partition was joined to few
    blocks.
    """

    def iterate(self, records: Mapping[TP, list[Block]]) -> Iterator[tuple[TP, Any]]:
        """Blocks of a size that a step is cheapest at, round robin over topics and partitions. The
        lists are emptied on the way: whoever fetched them holds them until the last is handed on,
        with whatever of them has been read meanwhile.
        """
        steps = {tp: _joined_in_steps(blocks) for tp, blocks in records.items() if blocks}
        return super().iterate(cast("Mapping[TP, list[Block]]", steps))


def _joined_in_steps(blocks: list[Block]) -> Iterator[Block]:
    """Neighbouring blocks joined up to about `STEP_RECORDS`; never cut."""
    blocks.reverse()
    while blocks:
        step = [blocks.pop()]
        held = step[0].held
        while blocks and held + blocks[-1].held <= STEP_RECORDS:
            step.append(blocks.pop())
            held += step[-1].held
        yield Block.joined(step)
