"""The outcome of an attempt to deliver a message, as every receiver returns it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """Accepted when there is neither fault nor error, and the status, if the receiver has statuses,
    is of the 200s.
    """

    status: int | None = None
    """HTTP status. None when none came, or the receiver has none."""

    fault: str | None = None
    """The fault before a status came; None without one."""

    retry_after_s: float | None = None
    """Seconds that the receiver asks to wait; None without a request."""

    error: str | None = None
    """The error that the answer itself reports, in a few words; then the message was not accepted
    even with a status of the 200s. None without one.
    """

    thread: str = ""
    """Id of the receiver's own thread, for later messages about the same incident; empty from a
    receiver without threads.
    """

    refused: bool = False
    """Whether the target is not allowed."""

    unrenderable: bool = False
    """Whether the message cannot be rendered for the receiver; `fault` says why."""
