"""How an attempt to deliver a message went, as every receiver here answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """Taken when there is neither fault nor error, and the status, where the receiver has statuses,
    is of the 200s.
    """

    status: int | None = None
    """HTTP status. None when none came, or the receiver has none."""

    fault: str | None = None
    """What went wrong before a status came. None when nothing did."""

    retry_after_s: float | None = None
    """Seconds that the receiver asks to wait. None when it does not say."""

    error: str | None = None
    """What the answer itself says is wrong, in a few words; with a status of the 200s the message
    was not taken. None when it says nothing.
    """

    thread: str = ""
    """Where later messages about the same incident belong, in the receiver's own terms; empty for
    what has no such thing.
    """

    refused: bool = False
    """Whether the target is one that we never send to."""

    unrenderable: bool = False
    """Whether the message cannot be made into what the receiver takes; `fault` says why."""
