"""Which errors a broker may answer which request with, by Kafka's protocol, and when a worker makes
that request.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class Api(IntEnum):
    """What a worker asks a broker. It keeps its position with its state: it neither adds offsets to
    a transaction nor commits them in one.
    """

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    END_TXN = 26


class Moment(StrEnum):
    """What is done so that the worker asks."""

    RUNNING = "running"
    """It takes events and makes them durable."""
    REJOINING = "rejoining"
    """Its group is rebalanced."""
    SEEKING = "seeking"
    """Its group's coordinator is another one."""
    STARTING = "starting"
    """It connects, and reads its settings."""
    RESTORING = "restoring"
    """It takes its lanes over and reads their state back."""
    ENDING = "ending"
    """It is told to end, and started again."""


CODES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "UNKNOWN_SERVER_ERROR": -1,
        "OFFSET_OUT_OF_RANGE": 1,
        "CORRUPT_MESSAGE": 2,
        "UNKNOWN_TOPIC_OR_PARTITION": 3,
        "LEADER_NOT_AVAILABLE": 5,
        "NOT_LEADER_OR_FOLLOWER": 6,
        "REQUEST_TIMED_OUT": 7,
        "REPLICA_NOT_AVAILABLE": 9,
        "MESSAGE_TOO_LARGE": 10,
        "OFFSET_METADATA_TOO_LARGE": 12,
        "COORDINATOR_LOAD_IN_PROGRESS": 14,
        "COORDINATOR_NOT_AVAILABLE": 15,
        "NOT_COORDINATOR": 16,
        "INVALID_TOPIC_EXCEPTION": 17,
        "RECORD_LIST_TOO_LARGE": 18,
        "NOT_ENOUGH_REPLICAS": 19,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND": 20,
        "INVALID_REQUIRED_ACKS": 21,
        "ILLEGAL_GENERATION": 22,
        "INCONSISTENT_GROUP_PROTOCOL": 23,
        "INVALID_GROUP_ID": 24,
        "UNKNOWN_MEMBER_ID": 25,
        "INVALID_SESSION_TIMEOUT": 26,
        "REBALANCE_IN_PROGRESS": 27,
        "INVALID_COMMIT_OFFSET_SIZE": 28,
        "TOPIC_AUTHORIZATION_FAILED": 29,
        "GROUP_AUTHORIZATION_FAILED": 30,
        "CLUSTER_AUTHORIZATION_FAILED": 31,
        "INVALID_TIMESTAMP": 32,
        "UNSUPPORTED_VERSION": 35,
        "INVALID_REQUEST": 42,
        "UNSUPPORTED_FOR_MESSAGE_FORMAT": 43,
        "POLICY_VIOLATION": 44,
        "OUT_OF_ORDER_SEQUENCE_NUMBER": 45,
        "DUPLICATE_SEQUENCE_NUMBER": 46,
        "INVALID_PRODUCER_EPOCH": 47,
        "INVALID_TXN_STATE": 48,
        "INVALID_PRODUCER_ID_MAPPING": 49,
        "INVALID_TRANSACTION_TIMEOUT": 50,
        "CONCURRENT_TRANSACTIONS": 51,
        "TRANSACTION_COORDINATOR_FENCED": 52,
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": 53,
        "OPERATION_NOT_ATTEMPTED": 55,
        "KAFKA_STORAGE_ERROR": 56,
        "UNKNOWN_PRODUCER_ID": 59,
        "FETCH_SESSION_ID_NOT_FOUND": 70,
        "INVALID_FETCH_SESSION_EPOCH": 71,
        "LISTENER_NOT_FOUND": 72,
        "FENCED_LEADER_EPOCH": 74,
        "UNKNOWN_LEADER_EPOCH": 75,
        "UNSUPPORTED_COMPRESSION_TYPE": 76,
        "OFFSET_NOT_AVAILABLE": 78,
        "GROUP_MAX_SIZE_REACHED": 81,
        "FENCED_INSTANCE_ID": 82,
        "INVALID_RECORD": 87,
        "UNSTABLE_OFFSET_COMMIT": 88,
        "THROTTLING_QUOTA_EXCEEDED": 89,
        "PRODUCER_FENCED": 90,
        "TRANSACTION_ABORTABLE": 120,
    }
)
"""As https://kafka.apache.org/protocol.html#protocol_error_codes has them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The errors that one API may be answered with."""

    api: Api
    moments: tuple[Moment, ...]
    retriable: str
    """Names of those that pass by themselves, by the protocol; they come a few times in a row."""
    fatal: str
    """Names of the others; they come once."""


_RUNNING, _STARTING = (Moment.RUNNING,), (Moment.STARTING,)
_COORDINATOR: Final = "NOT_COORDINATOR COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE"

TABLE: Final = (
    Answers(
        Api.PRODUCE,
        _RUNNING,
        "NOT_LEADER_OR_FOLLOWER CORRUPT_MESSAGE UNKNOWN_TOPIC_OR_PARTITION LEADER_NOT_AVAILABLE"
        " REQUEST_TIMED_OUT NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND"
        " CONCURRENT_TRANSACTIONS KAFKA_STORAGE_ERROR",
        "TOPIC_AUTHORIZATION_FAILED UNKNOWN_SERVER_ERROR MESSAGE_TOO_LARGE INVALID_TOPIC_EXCEPTION"
        " RECORD_LIST_TOO_LARGE INVALID_REQUIRED_ACKS CLUSTER_AUTHORIZATION_FAILED"
        " INVALID_TIMESTAMP UNSUPPORTED_VERSION INVALID_REQUEST UNSUPPORTED_FOR_MESSAGE_FORMAT"
        " POLICY_VIOLATION OUT_OF_ORDER_SEQUENCE_NUMBER DUPLICATE_SEQUENCE_NUMBER"
        " INVALID_PRODUCER_EPOCH INVALID_TXN_STATE INVALID_PRODUCER_ID_MAPPING"
        " TRANSACTIONAL_ID_AUTHORIZATION_FAILED UNKNOWN_PRODUCER_ID UNSUPPORTED_COMPRESSION_TYPE"
        " INVALID_RECORD PRODUCER_FENCED TRANSACTION_ABORTABLE",
    ),
    Answers(
        Api.FETCH,
        (Moment.RUNNING, Moment.STARTING, Moment.RESTORING),
        "NOT_LEADER_OR_FOLLOWER OFFSET_OUT_OF_RANGE CORRUPT_MESSAGE UNKNOWN_TOPIC_OR_PARTITION"
        " LEADER_NOT_AVAILABLE REPLICA_NOT_AVAILABLE KAFKA_STORAGE_ERROR FETCH_SESSION_ID_NOT_FOUND"
        " INVALID_FETCH_SESSION_EPOCH FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH OFFSET_NOT_AVAILABLE"
        " THROTTLING_QUOTA_EXCEEDED",
        "TOPIC_AUTHORIZATION_FAILED UNKNOWN_SERVER_ERROR UNSUPPORTED_VERSION INVALID_REQUEST"
        " UNSUPPORTED_COMPRESSION_TYPE",
    ),
    Answers(
        Api.LIST_OFFSETS,
        (Moment.RUNNING, Moment.STARTING, Moment.RESTORING),
        "NOT_LEADER_OR_FOLLOWER UNKNOWN_TOPIC_OR_PARTITION LEADER_NOT_AVAILABLE REQUEST_TIMED_OUT"
        " REPLICA_NOT_AVAILABLE KAFKA_STORAGE_ERROR FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH"
        " OFFSET_NOT_AVAILABLE",
        # UNSUPPORTED_FOR_MESSAGE_FORMAT answers only a search by time, which no worker makes.
        "TOPIC_AUTHORIZATION_FAILED UNKNOWN_SERVER_ERROR UNSUPPORTED_VERSION INVALID_REQUEST",
    ),
    Answers(
        Api.METADATA,
        (Moment.RUNNING, Moment.STARTING),
        "LEADER_NOT_AVAILABLE UNKNOWN_TOPIC_OR_PARTITION REQUEST_TIMED_OUT LISTENER_NOT_FOUND",
        "TOPIC_AUTHORIZATION_FAILED UNKNOWN_SERVER_ERROR INVALID_TOPIC_EXCEPTION",
    ),
    Answers(
        Api.OFFSET_COMMIT,
        _RUNNING,
        f"{_COORDINATOR} REBALANCE_IN_PROGRESS UNKNOWN_TOPIC_OR_PARTITION REQUEST_TIMED_OUT",
        "GROUP_AUTHORIZATION_FAILED UNKNOWN_MEMBER_ID ILLEGAL_GENERATION OFFSET_METADATA_TOO_LARGE"
        " INVALID_COMMIT_OFFSET_SIZE TOPIC_AUTHORIZATION_FAILED INVALID_GROUP_ID FENCED_INSTANCE_ID"
        " UNKNOWN_SERVER_ERROR INVALID_REQUEST",
    ),
    Answers(
        Api.OFFSET_FETCH,
        _STARTING,
        f"{_COORDINATOR} UNSTABLE_OFFSET_COMMIT UNKNOWN_TOPIC_OR_PARTITION",
        "GROUP_AUTHORIZATION_FAILED TOPIC_AUTHORIZATION_FAILED INVALID_GROUP_ID"
        " UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.FIND_COORDINATOR,
        (Moment.STARTING, Moment.SEEKING),
        "COORDINATOR_NOT_AVAILABLE COORDINATOR_LOAD_IN_PROGRESS REQUEST_TIMED_OUT",
        "GROUP_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED INVALID_GROUP_ID"
        " INVALID_REQUEST UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.JOIN_GROUP,
        (Moment.REJOINING, Moment.STARTING),
        # MEMBER_ID_REQUIRED comes with an id, which the mock does not say; every first join at a
        # real broker is answered so.
        f"{_COORDINATOR} REBALANCE_IN_PROGRESS",
        "GROUP_AUTHORIZATION_FAILED UNKNOWN_MEMBER_ID ILLEGAL_GENERATION"
        " INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID INVALID_SESSION_TIMEOUT"
        " GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID UNKNOWN_SERVER_ERROR INVALID_REQUEST",
    ),
    Answers(
        Api.SYNC_GROUP,
        (Moment.REJOINING, Moment.STARTING),
        f"{_COORDINATOR} REBALANCE_IN_PROGRESS",
        "GROUP_AUTHORIZATION_FAILED UNKNOWN_MEMBER_ID ILLEGAL_GENERATION"
        " INCONSISTENT_GROUP_PROTOCOL FENCED_INSTANCE_ID INVALID_GROUP_ID UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.HEARTBEAT,
        _RUNNING,
        f"{_COORDINATOR} REBALANCE_IN_PROGRESS",
        "GROUP_AUTHORIZATION_FAILED UNKNOWN_MEMBER_ID ILLEGAL_GENERATION FENCED_INSTANCE_ID"
        " INVALID_GROUP_ID UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.LEAVE_GROUP,
        (Moment.ENDING,),
        _COORDINATOR,
        "GROUP_AUTHORIZATION_FAILED UNKNOWN_MEMBER_ID FENCED_INSTANCE_ID INVALID_GROUP_ID"
        " UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.API_VERSIONS,
        _STARTING,
        "REQUEST_TIMED_OUT",
        "UNSUPPORTED_VERSION CLUSTER_AUTHORIZATION_FAILED INVALID_REQUEST UNKNOWN_SERVER_ERROR",
    ),
    Answers(
        Api.INIT_PRODUCER_ID,
        (Moment.STARTING, Moment.RESTORING),
        f"{_COORDINATOR} CONCURRENT_TRANSACTIONS REQUEST_TIMED_OUT",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED INVALID_PRODUCER_EPOCH"
        " INVALID_TRANSACTION_TIMEOUT TRANSACTION_COORDINATOR_FENCED PRODUCER_FENCED"
        " UNKNOWN_SERVER_ERROR INVALID_REQUEST",
    ),
    Answers(
        Api.ADD_PARTITIONS_TO_TXN,
        _RUNNING,
        f"{_COORDINATOR} CONCURRENT_TRANSACTIONS UNKNOWN_TOPIC_OR_PARTITION",
        "TOPIC_AUTHORIZATION_FAILED INVALID_PRODUCER_EPOCH INVALID_TXN_STATE"
        " INVALID_PRODUCER_ID_MAPPING TRANSACTIONAL_ID_AUTHORIZATION_FAILED OPERATION_NOT_ATTEMPTED"
        " PRODUCER_FENCED TRANSACTION_ABORTABLE UNKNOWN_SERVER_ERROR INVALID_REQUEST",
    ),
    Answers(
        Api.END_TXN,
        _RUNNING,
        f"{_COORDINATOR} CONCURRENT_TRANSACTIONS",
        "INVALID_PRODUCER_EPOCH INVALID_TXN_STATE INVALID_PRODUCER_ID_MAPPING"
        " TRANSACTIONAL_ID_AUTHORIZATION_FAILED PRODUCER_FENCED TRANSACTION_ABORTABLE"
        " UNKNOWN_SERVER_ERROR INVALID_REQUEST",
    ),
)

_IN_A_ROW: Final = 3
_BEFORE_RESTORING: Final = {Api.FETCH: 6, Api.LIST_OFFSETS: 4, Api.INIT_PRODUCER_ID: 1}
"""Requests of a worker that starts until it takes its lanes over."""


@dataclass(frozen=True, slots=True)
class Case:
    """One error, at one moment."""

    api: Api
    moment: Moment
    name: str
    times: int

    @property
    def after(self) -> int:
        """Requests that are answered as usual before."""
        return _BEFORE_RESTORING[self.api] if self.moment is Moment.RESTORING else 0

    @property
    def code(self) -> int:
        """As it crosses the wire."""
        return CODES[self.name]

    def __str__(self) -> str:
        return f"{self.api.name} {self.moment} {self.name}"


def cases(*, long: bool) -> Iterator[Case]:
    """All of them, or for each API the first retriable and the first fatal error at the first
    moment.
    """
    for answers in TABLE:
        few = None if long else 1
        for moment in answers.moments[:few]:
            in_a_row = 1 if moment is Moment.ENDING else _IN_A_ROW
            # Of the clients that a worker starts with, the first takes the first.
            once = _IN_A_ROW if answers.api is Api.API_VERSIONS else 1
            for names, times in ((answers.retriable, in_a_row), (answers.fatal, once)):
                yield from (Case(answers.api, moment, name, times) for name in names.split()[:few])
