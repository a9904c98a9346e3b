"""When a lane needs a tick: for how long nothing has moved its event time."""

from dataclasses import dataclass
from typing import Final

_MIN_TIME_SHARE: Final = 0.5
"""Share of the time measured here that append times must show for a lane to count as moved. Append
times may lag, and anyone may write ticks that claim any duration.
"""


@dataclass(slots=True)
class IdleTimer:
    """Measures in this process's monotonic seconds, and asks for one tick at a time."""

    after_s: float
    """A tick is due when event time has not moved for this long."""
    moved_at: float
    """When event time last moved, as far as append times and ticks show."""
    moved_append: int | None
    """The program's `last_append` at `moved_at`, µs."""
    asked_at: float
    """When a tick was last asked for."""
    is_asked: bool = False
    """Whether a tick is on its way: what it measured would be measured again."""

    def on_record(self, append: int | None, now: float) -> None:
        """A block with records was processed; `append` is the program's `last_append` after it."""
        self.is_asked = False
        before = self.moved_append
        if append == before:
            # Late and bad records move no time; while they come, the silence of all others must
            # still be noticed.
            return
        moved_us = None if append is None or before is None else append - before
        if (
            moved_us is None
            # The broker's clock was set back.
            or moved_us < 0
            or moved_us >= _MIN_TIME_SHARE * (now - self.moved_at) * 1e6
        ):
            self.moved_at, self.moved_append = now, append

    def is_due(self, now: float) -> bool:
        """Whether to ask for a tick."""
        return not self.is_asked and now - max(self.moved_at, self.asked_at) >= self.after_s

    def ask(self, now: float) -> int:
        """Note that a tick is asked for; return the time that it is to report, µs."""
        self.is_asked, self.asked_at = True, now
        return round((now - self.moved_at) * 1e6)
