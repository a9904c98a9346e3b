"""What alert needs of a connector that carries messages out."""

from typing import Protocol


class DeliveryAnswer(Protocol):
    """How one attempt went. It was taken when there is no fault and the status is of the 200s or,
    for what has no statuses, None.
    """

    @property
    def status(self) -> int | None:
        """HTTP status, as soon as one came."""

    @property
    def fault(self) -> str | None:
        """What went wrong before a status came, in a word: `timeout`, `reset`, …"""

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the receiver asks to wait. None when it does not say."""

    @property
    def error(self) -> str | None:
        """What the answer itself says is wrong, in a few words. With a status of the 200s it means
        that the message was not taken.
        """

    @property
    def thread(self) -> str:
        """Where later messages about the same incident belong, in the receiver's own terms; empty
        when it says nothing of the kind.
        """

    @property
    def refused(self) -> bool:
        """Whether we refuse to send to this target at all, so that another attempt is pointless."""

    @property
    def unrenderable(self) -> bool:
        """Whether the message itself cannot be made into what the receiver takes, so that another
        attempt is pointless; `fault` says why.
        """


class Receiver(Protocol):
    """One receiver of messages. It neither retries nor raises for what a receiver can do wrong:
    that is an answer.
    """

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> DeliveryAnswer:
        """One attempt to hand over a message within a time of its own. `now` is the wall clock, µs;
        `thread` what an answer said of an earlier message about the same incident.

        The same id is the same message: a receiver that got it before ignores it.
        """

    async def close(self) -> None:
        """Let go of connections."""
