"""The failed calls of a lane's open buckets, for the anomalies that may come of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from agents.detection.failed_calls import Failed, FailedCalls, Read, Records
from agents.detection.segment import Segment
from streams.state.chunks import page_key, seal, unseal
from streams.state.rows import RowCodec, Rows

Int64s = npt.NDArray[np.int64]

TABLE: Final = "failures"
"""In the lane's state: a row for each open bucket."""
_VERSION: Final = 1


class Failures:
    """The failed calls of a lane's open buckets: a function of its records in offset order."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._open: Final = Rows(
            RowCodec(
                f"{TABLE}/".encode(),
                lambda bucket: b"%d" % bucket,
                int,
                lambda calls: seal(_VERSION, orjson.dumps(calls.rows())),
                self._from_row,
            )
        )

    def count(self, segment: Segment, records: Callable[[Int64s], Records]) -> None:
        """Count the failed calls of a segment; `records` returns copies of the records at some of
        its offsets.
        """
        failed = np.flatnonzero(segment.integers("failed"))
        if not len(failed):
            return
        buckets = segment.buckets[failed]
        for bucket in (
            [int(buckets[0])] if (buckets == buckets[0]).all() else np.unique(buckets).tolist()
        ):
            calls = self._open.view().get(bucket)
            if calls is None:
                calls = FailedCalls(self._read)
            own = failed[buckets == bucket]
            chosen = own[calls.chosen(segment.series[own])]
            if len(chosen):
                offsets = segment.offsets[chosen]
                calls.add(segment.series[chosen], offsets, records(offsets))
                # Put back, so that a flush encodes it only if more calls were chosen: in an outage
                # most series soon have enough of them.
                self._open[bucket] = calls

    def close(self, bucket: int) -> FailedCalls:
        """Remove a bucket and return its failed calls."""
        closed = self._open.pop(bucket, None)
        return FailedCalls(self._read) if closed is None else closed

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Rows of the buckets that changed since the last call."""
        return iter(self._open.changes())

    def restore(self, pages: Mapping[int, bytes]) -> None:
        """Restore the rows of `changes`, by bucket. Raises NewerState."""
        self._open.restore((page_key(TABLE, bucket), value) for bucket, value in pages.items())

    def _from_row(self, value: bytes) -> FailedCalls:
        rows = orjson.loads(unseal(value, _VERSION, TABLE)[1])
        series = {
            row: Failed(looked, counts, [(event, trace) for event, trace in samples])
            for row, looked, counts, samples in rows
        }
        return FailedCalls(self._read, series)
