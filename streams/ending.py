"""The third fate of an error: the process ends before anything is committed, and its supervisor starts it again."""

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError, ProducerFenced

from schemas.documents import StoreRefused, StoreUnavailable
from streams.pages import NewerState
from streams.position import Displaced, Refused

BUG: Final = 70
"""Exit status: the code is wrong or the state is in doubt (EX_SOFTWARE). Start it again."""
REFUSED: Final = 78
"""Exit status: it cannot go on until a person has changed something (EX_CONFIG)."""
AGAIN: Final = 75
"""Exit status: another worker owns a lane now, or the broker is away (EX_TEMPFAIL). Start it again."""

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("sentinel")
_debug = os.environ.get("SENTINEL_DEBUG") == "1"


def end_process(error: BaseException) -> None:
    """Says in one line why, and ends the process now: no handler runs, nothing is flushed or committed. Does not return."""
    status, line = _told(error)
    if _debug or status == BUG:
        traceback.print_exception(error)
    _log.critical("%s", line)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def is_temporary(error: KafkaError) -> bool:
    """Whether it passes by itself: the broker is away, or did not answer in time, which the client does not count among the retriable."""
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


def _told(error: BaseException) -> tuple[int, str]:
    if isinstance(error, Refused | NewerState | StoreRefused):
        return REFUSED, str(error)
    if isinstance(error, ProducerFenced):
        return AGAIN, "another worker took over a lane of this one (fenced); ending, to be started again"
    if isinstance(error, Displaced):
        return AGAIN, str(error)
    if isinstance(error, StoreUnavailable):
        return AGAIN, f"{error}; ending, to be started again"
    if isinstance(error, KafkaError) and is_temporary(error):
        return AGAIN, f"the broker did not answer in time ({type(error).__name__}); ending, to be started again"
    if isinstance(error, asyncio.CancelledError):
        return AGAIN, "the Kafka client was broken off in the middle of something; ending, to be started again"
    return BUG, f"ending, since {type(error).__name__}: {error}"


def ends_process(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """For everything of ours that Faust calls: Faust gathers and forgets the exceptions of many callbacks, so none may leave.

    Cancellation is passed on: it is how Faust stops things. So are the exceptions with which Python itself ends.
    """

    @wraps(work)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await work(*args, **kwargs)
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except (
            BaseException
        ) as error:  # a process edge: whatever it is, the process ends with it; a panic of polars is no Exception
            end_process(error)
            raise

    return guarded
