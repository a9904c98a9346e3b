"""Ports of alert: what it needs of a connector that delivers messages."""

from typing import Protocol


class DeliveryAnswer(Protocol):
    """The outcome of one attempt: accepted if there is no fault, no error, and a status of the 200s
    or, from a receiver without statuses, None.
    """

    @property
    def status(self) -> int | None:
        """HTTP status, as soon as one came."""

    @property
    def fault(self) -> str | None:
        """The fault before a status came, in a few words: `timeout`, `connection lost`, …"""

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the receiver asks to wait; None without a request."""

    @property
    def error(self) -> str | None:
        """The error that the answer itself reports, in a few words. With a status of the 200s it
        means that the message was not accepted.
        """

    @property
    def thread(self) -> str:
        """Id of the receiver's own thread, for later messages about the same incident; empty from a
        receiver without threads.
        """

    @property
    def refused(self) -> bool:
        """Whether the target is not allowed, so that another attempt is pointless."""

    @property
    def unrenderable(self) -> bool:
        """Whether the message cannot be rendered for the receiver, so that another attempt is
        pointless; `fault` says why.
        """


class Receiver(Protocol):
    """One receiver of messages. It never retries, and it returns faults of the receiver as answers,
    not as exceptions.
    """

    async def deliver(
        self, notification_id: str, body: bytes, now: int, thread: str = ""
    ) -> DeliveryAnswer:
        """Make one attempt to deliver a message, within a timeout of the connector's own.

        `now` is the wall clock, µs; `thread` is that of the answer to an earlier message about the
        same incident. The same id is the same message: a receiver may ignore it the second time.
        """

    async def close(self) -> None:
        """Close connections."""
