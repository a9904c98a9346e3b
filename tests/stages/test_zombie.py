"""A worker that was as good as dead and wakes up again owns nothing any more."""

import signal
import time

from schemas.records.aggregates import Aggregate
from streams.exit_status import AGAIN
from tests.harness.telemetry_log import event
from tests.harness.worker import Installation, until


def test_a_worker_that_slept_through_its_session_is_fenced_and_nothing_counts_twice(
    installation: Installation,
) -> None:
    """Another took its lanes over; what it had not made durable the heir has counted; the zombie
    ends, to be started again.
    """
    topic, now = installation.names.telemetry, time.time_ns() // 1000
    events = [event(number, 0, event_time=now).to_bytes() for number in range(20)]
    # It is put to sleep before its flush is due.
    with installation.worker("detect", lanes={"flush_min_s": 8.0}) as zombie:
        zombie.ready()
        installation.send(topic, 0, events[:10])
        until(
            lambda: zombie.metric("sentinel_events_total", lane=0) == 10,
            "ten are counted",
            worker=zombie,
        )
        zombie.signal(signal.SIGSTOP)
        with installation.worker("detect") as heir:
            installation.send(topic, 0, events[10:])
            until(
                lambda: heir.metric("sentinel_events_total", lane=0) == 20,
                "all are counted again",
                worker=heir,
            )
            zombie.signal(signal.SIGCONT)
            assert zombie.ends() == AGAIN, zombie.said()
            assert "another worker took over" in zombie.said()
            until(
                lambda: installation.read(installation.names.aggregates),
                "the bucket is closed",
                worker=heir,
            )
    values = [kept.value for kept in installation.read(installation.names.aggregates)]
    assert [Aggregate.from_bytes(value).requests for value in values if value is not None] == [20.0]
