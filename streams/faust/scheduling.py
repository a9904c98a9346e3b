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
        """Blocks joined to the size at which a step is cheapest, round robin over topics and
        partitions. The lists are emptied on the way: their owner keeps them until the last block is
        handed on, and with them everything that was decompressed meanwhile.
        """
        steps = {tp: _joined_in_steps(blocks) for tp, blocks in records.items() if blocks}
        return super().iterate(cast("Mapping[TP, list[Block]]", steps))


def _joined_in_steps(blocks: list[Block]) -> Iterator[Block]:
    """Neighbouring blocks joined up to about `STEP_RECORDS`; never cut."""
    # Taken from the end, which removes each block from the caller's list at no cost.
    blocks.reverse()
    while blocks:
        step = [blocks.pop()]
        held = step[0].held
        while blocks and held + blocks[-1].held <= STEP_RECORDS:
            step.append(blocks.pop())
            held += step[-1].held
        yield Block.joined(step)
