"""The one retry loop of a store: the same work again in place, ever more slowly, until the
deadline.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from schemas.documents import StoreUnavailable, TooSlow

T = TypeVar("T")

_FIRST_S: Final = 0.1
_CAP_S: Final = 5.0


def _passes(fault: Exception) -> bool:
    return isinstance(fault, StoreUnavailable) and not isinstance(fault, TooSlow)


async def retried(work: Callable[[], Awaitable[T]], deadline_s: float) -> T:
    """What the work answers. Work that raises StoreUnavailable is done again, with doubling waits
    and jitter; after the deadline, and for TooSlow at once, it is raised.
    """
    began = time.monotonic()
    try:
        return await work()
    except StoreUnavailable as fault:
        left_s = deadline_s - (time.monotonic() - began)
        if not _passes(fault) or left_s <= 0:
            raise
        failed: StoreUnavailable | None = fault
    # Not before something fails: it takes half a second to import, as long as a list on the command
    # line takes in all.
    import stamina

    async for attempt in stamina.retry_context(
        on=_passes,
        attempts=None,
        timeout=left_s,
        wait_initial=_FIRST_S,
        wait_max=_CAP_S,
        wait_jitter=_FIRST_S,
    ):
        with attempt:
            if failed is not None:
                # What was tried above is the first attempt.
                first, failed = failed, None
                raise first
            return await work()
    raise AssertionError("the loop ends by an answer or by raising")
