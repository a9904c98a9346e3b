"""aiokafka's connections, hardened: on uvloop a write to a connection that has ended raises a RuntimeError, which aiokafka does not take for a broken
connection (upstream #1038, open since 2024).

Between a connection's end and the moment at which aiokafka hears of it lies a turn of the loop. Whatever writes in it dies: the task that refreshes
metadata, the one that fetches, the group's, a transaction's; and nobody hears of some of these.
"""

from typing import Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """Stock, but what has ended is not written to: that is the `KafkaConnectionError` which every user of a connection knows how to repeat after."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Raises KafkaConnectionError."""
        self._refuse_ended()
        return super().send(request, expect_response)

    def _send_sasl_token(self, payload: bytes, expect_response: bool = True) -> Any:
        self._refuse_ended()
        return super()._send_sasl_token(payload, expect_response)

    def _refuse_ended(self) -> None:
        if self._writer is not None and self._writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} has ended")


def install() -> None:
    """Makes every aiokafka client of this process connect so."""
    aiokafka.conn.AIOKafkaConnection = Connection
