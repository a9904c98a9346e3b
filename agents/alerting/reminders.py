"""Threads that wait for time: repeats that become due, and messages that a silence holds back."""

from typing import Final

from agents.alerting.lane_state import LaneState, thread_key
from agents.alerting.schedule import Schedule
from agents.alerting.settings import AlertSettings
from agents.alerting.thread import Thread


class Reminders:
    """An index over a lane's threads. A call costs what changed since the last one, not what there
    is.
    """

    def __init__(self, settings: AlertSettings, state: LaneState) -> None:
        self._receivers: Final = frozenset(receiver.name for receiver in settings.receivers)
        self._repeat_us: Final = round((settings.repeat_interval_s or 0) * 1e6)
        self._threads, self._tracked = state.threads, state.open.view()
        self._changed_threads = state.threads.follow()
        self._changed_incidents = state.open.follow()
        self._repeats: Final[Schedule[bytes]] = Schedule()
        self._held: Final[set[bytes]] = set()
        """Keys of the threads in which a silence holds a message back."""

    def next_repeat(self) -> int | None:
        """Wall clock, µs, of the next repeat; None without any."""
        self._catch_up()
        return self._repeats.next()

    def pop_repeats(self, now: int) -> list[Thread]:
        """Remove the repeats that are due; returns their threads, to be changed."""
        self._catch_up()
        # Handed out by the rows: the caller changes them, and the index sees them again.
        return [self._threads[key] for key in self._repeats.pop_due(now)]

    def held(self) -> list[Thread]:
        """The threads in which a silence holds a message back, to be read."""
        self._catch_up()
        return [self._threads.view()[key] for key in sorted(self._held)]

    def _catch_up(self) -> None:
        for key in self._changed_threads:
            self._look_at(key)
        self._changed_threads.clear()
        # An acknowledgement or a new level concerns the incident's threads with all receivers, none
        # of which has changed.
        for incident_id in self._changed_incidents:
            for receiver in self._receivers:
                self._look_at(thread_key(incident_id, receiver))
        self._changed_incidents.clear()

    def _look_at(self, key: bytes) -> None:
        thread = self._threads.view().get(key)
        self._repeats.put(key, None if thread is None else self._repeat_at(thread))
        if thread is not None and thread.held:
            self._held.add(key)
        else:
            self._held.discard(key)

    def _repeat_at(self, thread: Thread) -> int | None:
        """When to send that the incident is still open; None while time alone does not decide."""
        known = self._tracked.get(thread.incident_id)
        waits = (
            thread.queue or thread.held or thread.summaries or thread.resolved or not thread.singly
        )
        if (
            not self._repeat_us
            or known is None
            or known.acknowledged_by
            or waits
            # The receiver knows that this is the new level: that it still is would be no news.
            or known.incident.new_level_since is not None
            or thread.receiver not in self._receivers
        ):
            return None
        return thread.said_at + self._repeat_us
