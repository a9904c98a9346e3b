"""How a process ends on an error: before anything is committed, with a status that tells its
supervisor whether to restart it.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import aiokafka.errors as errors
from aiokafka.errors import KafkaError, KafkaTimeoutError
from confluent_kafka import KafkaError as Fault
from confluent_kafka import KafkaException

from schemas.documents import StoreRefused, StoreUnavailable
from streams.state.chunks import NewerState
from streams.state.position import Displaced, Refused

BUG: Final = 70
"""Exit status: the code is wrong or the state is in doubt (EX_SOFTWARE). Restart it."""
REFUSED: Final = 78
"""Exit status: it cannot go on until a person has changed something (EX_CONFIG)."""
AGAIN: Final = 75
"""Exit status: another worker owns a lane, or the broker is away (EX_TEMPFAIL). Restart it."""

ENDS_WITHIN_S: Final = 15.0
"""Seconds that an orderly end may take after all work is done; less than a supervisor waits before
it kills.
"""
SAID_WITHIN_S: Final = 5.0
"""Seconds to say why a process ends: a pipe that nobody reads blocks its writers."""

_MOST_SEVERE_FIRST: Final = (BUG, REFUSED, AGAIN)

_RIGHTS: Final = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
    errors.AuthenticationFailedError,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
)
"""Errors of missing rights: an administrator has to grant them."""
_LIMITS: Final = (
    errors.IncompatibleBrokerVersion,
    errors.UnsupportedVersionError,
    errors.UnsupportedForMessageFormatError,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.PolicyViolationError,
    errors.InvalidTopicError,
    errors.InvalidRequiredAcksError,
    errors.InvalidGroupIdError,
    errors.InvalidSessionTimeoutError,
    errors.InvalidTransactionTimeout,
    errors.InconsistentGroupProtocolError,
)
"""Errors of requests that the broker refuses however often they are repeated."""

_FAULTS_OF_RIGHTS: Final = (
    Fault.TOPIC_AUTHORIZATION_FAILED,
    Fault.GROUP_AUTHORIZATION_FAILED,
    Fault.CLUSTER_AUTHORIZATION_FAILED,
    Fault._AUTHENTICATION,
)
FAULTS_THAT_PASS: Final = (
    Fault._TIMED_OUT,
    Fault._TRANSPORT,
    Fault._ALL_BROKERS_DOWN,
    Fault._RESOLVE,
)

_PASSED_ON: Final[tuple[type[BaseException], ...]] = (
    asyncio.CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
)

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("sentinel")
_debug = os.environ.get("SENTINEL_DEBUG") == "1"


def end_process(error: BaseException) -> None:
    """Logs the reason in one line, and ends the process now: no handler runs, nothing is flushed or
    committed. Never returns, not even if the log's pipe has no reader: after SAID_WITHIN_S the
    process ends without a line.
    """
    status = BUG
    _from_now(SAID_WITHIN_S, lambda: os._exit(status))
    try:
        status, line = fate_of(error)
        if _debug or status == BUG:
            traceback.print_exception(error)
        _log.critical("%s", line)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def end_within(seconds: float, status: int = AGAIN) -> None:
    """Ends the process with this status when it has not ended by itself after `seconds`, and logs
    where it hung. For an orderly end: threads that wait for a disk, clients that wait for a broker,
    and Python's own exit, which joins all threads, cannot delay it further.
    """

    def hung() -> None:
        _from_now(SAID_WITHIN_S, lambda: os._exit(status))
        try:
            _log.critical(
                "%s", f"the process did not end within {seconds:g} s of being done; ending it now"
            )
            faulthandler.dump_traceback(sys.stderr)
        finally:
            os._exit(status)

    _from_now(seconds, hung)


async def bounded(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Awaits the work for at most `seconds`; then cancels it, without waiting for that. Raises what
    the work raised.
    """
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        task.result()
    else:
        task.cancel()


def _from_now(seconds: float, act: Callable[[], None]) -> None:
    """Calls `act` after `seconds`, in a daemon thread, which does not delay the end itself."""

    def later() -> None:
        time.sleep(seconds)
        act()

    # When no thread can be started, for want of memory, the end has no time limit.
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=later, name="sentinel-ending", daemon=True).start()


def is_temporary(error: KafkaError) -> bool:
    """Whether the fault passes by itself: the broker is away, or did not answer in time, which
    aiokafka does not count as retriable.
    """
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


def fate_of(error: BaseException) -> tuple[int, str]:
    """Exit status and the line that gives the reason. An answer of the broker is never a bug, even
    where a client wraps it in another exception. Of a group of exceptions, the most severe decides.
    Groups and causes may refer to each other in a circle.
    """
    fates = [_fate_of_one(each) for each in _ungrouped(error)]
    return min(fates, key=lambda fate: _MOST_SEVERE_FIRST.index(fate[0]), default=_bug(error))


def _fate_of_one(error: BaseException) -> tuple[int, str]:
    if isinstance(error, Refused | NewerState | StoreRefused):
        return REFUSED, str(error)
    if isinstance(error, Displaced):
        return AGAIN, str(error)
    if isinstance(error, StoreUnavailable):
        return AGAIN, f"{error}; ending, to be started again"
    if isinstance(error, asyncio.CancelledError):
        return (
            AGAIN,
            (
                "the Kafka client was broken off in the middle of something; ending, to be started"
                " again"
            ),
        )
    if (
        isinstance(error, KafkaException)
        and (fate := _fate_by_librdkafka(error.args[0])) is not None
    ):
        return fate
    for each in _chain(error):
        if isinstance(each, KafkaError) and (fate := _fate_by_kafka(each)) is not None:
            return fate
    return _bug(error)


def _bug(error: BaseException) -> tuple[int, str]:
    return BUG, f"ending, since {type(error).__name__}: {error}"


def _ungrouped(error: BaseException) -> Iterator[BaseException]:
    """What is in a group, and in the groups within it, each once; of no group the error itself."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        else:
            yield each


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was made from, and so on, each once: aiokafka wraps answers of the broker
    and bugs of its own in the same `KafkaError`.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__


def _fate_by_kafka(error: KafkaError) -> tuple[int, str] | None:
    if isinstance(error, errors.ProducerFenced):
        return (
            AGAIN,
            "another worker took over a lane of this one (fenced); ending, to be started again",
        )
    if isinstance(error, _RIGHTS):
        return REFUSED, _refused_user(error)
    if isinstance(error, _LIMITS):
        return (
            REFUSED,
            (
                f"the broker does not take what this program asks for ({error}); see its settings"
                " and version"
            ),
        )
    if is_temporary(error):
        return (
            AGAIN,
            (
                f"the broker did not answer in time ({type(error).__name__}); ending, to be started"
                " again"
            ),
        )
    # Some answers of the broker are only in the text of a plain error without a cause.
    if isinstance(error, errors.BrokerResponseError) or (
        type(error) is KafkaError and error.__cause__ is None
    ):
        return AGAIN, _answered(error)
    return None


def _fate_by_librdkafka(fault: Fault) -> tuple[int, str] | None:
    """The other client, which asks a broker for the topic's id."""
    if fault.code() in _FAULTS_OF_RIGHTS:
        return REFUSED, _refused_user(fault.str())
    if fault.code() in FAULTS_THAT_PASS:
        return (
            AGAIN,
            f"the broker did not answer in time ({fault.str()}); ending, to be started again",
        )
    if fault.code() >= Fault.UNKNOWN:
        return AGAIN, _answered(fault.str())
    return None


def _refused_user(what: object) -> str:
    return f"the broker refuses this user ({what}); give it the right, then start again"


def _answered(what: object) -> str:
    return f"the broker answered with an error ({what}); ending, to be started again"


def ends_process(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """For each of our functions that Faust calls: Faust gathers and forgets the exceptions of many
    callbacks, so none may leave.

    Cancellation is passed on: it is how Faust stops things. So are the exceptions with which Python
    itself ends.
    """
    return ends_process_unless()(work)


def ends_process_unless(
    *passed_on: type[BaseException],
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """As `ends_process`, for a callback from which Faust expects some exceptions: these are passed
    on too.
    """

    passing = (*_PASSED_ON, *passed_on)

    def ends(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(work)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await work(*args, **kwargs)
            except passing:
                raise
            # A process edge: whatever it is, the process ends; a panic of polars is no Exception.
            except BaseException as error:
                end_process(error)
                raise

        return guarded

    return ends
