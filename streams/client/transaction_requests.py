"""Kafka's requests about transactions (API keys 61, 65 and 66, brokers since 3.0), which aiokafka
does not have.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_TAGS = ("tags", TaggedFields)
_TEXT = CompactString("utf-8")


class _Answer(Response):  # type: ignore[misc]
    API_VERSION = 0


class ProducersResponse(_Answer):
    """The producers of partitions, with the offset at which the open transaction of each begins (-1
    when none is open).
    """

    API_KEY = 61
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", _TEXT),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start", Int64),
                                _TAGS,
                            ),
                        ),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class TransactionalIdsResponse(_Answer):
    """Transactional ids that one broker coordinates."""

    API_KEY = 66
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_filters", CompactArray(_TEXT)),
        (
            "transactions",
            CompactArray(
                ("transactional_id", _TEXT), ("producer_id", Int64), ("state", _TEXT), _TAGS
            ),
        ),
        _TAGS,
    )


class TransactionsResponse(_Answer):
    """Transactions, each with its begin and its time limit."""

    API_KEY = 65
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transactions",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", _TEXT),
                ("state", _TEXT),
                ("timeout_ms", Int32),
                ("started_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS),
                ),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _Asked(RequestStruct):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE: ClassVar[Any] = ProducersResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
        _TAGS,
    )


class _AskedIds(RequestStruct):  # type: ignore[misc]
    API_KEY = 66
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE: ClassVar[Any] = TransactionalIdsResponse
    SCHEMA = Schema(("states", CompactArray(_TEXT)), ("producer_ids", CompactArray(Int64)), _TAGS)


class _AskedTransactions(RequestStruct):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE: ClassVar[Any] = TransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(_TEXT)), _TAGS)


class DescribeProducers(Request[_Asked]):  # type: ignore[misc]
    """Asks a partition's leader who writes to it."""

    API_KEY = 61

    def __init__(self, topic: str, partition: int) -> None:
        self._topics: list[tuple[str, list[int], dict[int, bytes]]] = [(topic, [partition], {})]

    def build(self, request_struct_class: type[Struct]) -> Any:
        """As it goes out."""
        return request_struct_class(self._topics, {})


class ListTransactions(Request[_AskedIds]):  # type: ignore[misc]
    """Asks a broker for the transactional ids of producers."""

    API_KEY = 66

    def __init__(self, producer_ids: Iterable[int]) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[Struct]) -> Any:
        """As it goes out."""
        return request_struct_class([], self._producer_ids, {})


class DescribeTransactions(Request[_AskedTransactions]):  # type: ignore[misc]
    """Asks their coordinator about transactions."""

    API_KEY = 65

    def __init__(self, transactional_ids: Iterable[str]) -> None:
        self._ids = list(transactional_ids)

    def build(self, request_struct_class: type[Struct]) -> Any:
        """As it goes out."""
        return request_struct_class(self._ids, {})
