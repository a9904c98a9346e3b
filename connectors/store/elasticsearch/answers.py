"""What Elasticsearch's answers mean: what is wrong with a document for ever, what passes, and what
a person is to do.

By the type of the error, not by the status alone: 400 is said of a document that does not fit as
well as of a cluster that has no room for another index, 403 of a user without the right as well as
of a disk that is nearly full, 404 of an index that was just deleted as well as of one that may not
be made.
"""

from collections.abc import Mapping
from typing import Any, Final

import elastic_transport
from elasticsearch import ApiError, UnsupportedProductError

from connectors.store.settings import StoreSettings
from schemas.documents import StoreRefused, StoreUnavailable

REASON_CHARS: Final = 400

_POISON: Final = frozenset(
    {
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "mapper_exception",
    }
)
"""What is wrong with a document itself."""
_IMMENSE: Final = "immense term"
"""In the reason of an illegal_argument_exception that is about a document's text."""
_PASSING: Final = frozenset(
    {
        "circuit_breaking_exception",
        "cluster_block_exception",
        "es_rejected_execution_exception",
        "failed_node_exception",
        "index_closed_exception",
        "master_not_discovered_exception",
        "no_shard_available_action_exception",
        "node_closed_exception",
        "node_not_connected_exception",
        "process_cluster_event_timeout_exception",
        "receive_timeout_transport_exception",
        "resource_already_exists_exception",
        "search_phase_execution_exception",
        "snapshot_in_progress_exception",
        "timeout_exception",
        "unavailable_shards_exception",
        "validation_exception",
    }
)
"""Errors that pass with time, or when the cluster's operator acts, whatever the status is. A
`validation_exception` says that the cluster has as many shards as it may have; a block may be a
disk that is nearly full.
"""
_DELETED: Final = "index_not_found_exception"
_NOT_MADE: Final = "auto_create_index"
"""In the reason when a cluster lets nobody make an index by writing to it."""
_NO_RIGHT: Final = frozenset({"security_exception", "authorization_exception"})
_FOR_A_PERSON: Final = frozenset({"invalid_index_name_exception", "invalid_alias_name_exception"})
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def is_poison(kind: str, reason: str) -> bool:
    """Whether the document itself is at fault, so that it will never be accepted."""
    return kind in _POISON or _IMMENSE in reason


def is_for_a_person(status: int, kind: str, reason: str) -> bool:
    """Whether waiting does not help."""
    if kind in _PASSING:
        return False
    if kind == _DELETED:
        # Our own purge, or a person's, may have deleted it at this moment: the next write makes it
        # again.
        return _NOT_MADE in reason
    return status in (401, 403) or kind in _NO_RIGHT or kind in _FOR_A_PERSON


def reason_of(error: Mapping[str, Any]) -> str:
    """An error's type, reason and cause in a line."""
    cause = (error.get("caused_by") or {}).get("reason")
    whole = f"{error.get('type')}: {error.get('reason')}" + (f" ({cause})" if cause else "")
    return " ".join(whole.split())[:REASON_CHARS]


def meaning(settings: StoreSettings, fault: Exception) -> Exception:
    """What a fault of the client means to us: StoreUnavailable or StoreRefused."""
    at = ", ".join(settings.urls)
    if isinstance(fault, UnsupportedProductError):
        return StoreRefused(f"what answers at {at} is no Elasticsearch; check store.urls")
    if isinstance(fault, elastic_transport.TlsError):
        return StoreRefused(
            f"the TLS connection to {at} failed: {fault.message}; check store.tls_ca_file and"
            " store.urls"
        )
    if not isinstance(fault, ApiError):
        return StoreUnavailable(f"Elasticsearch at {at} does not answer: {type(fault).__name__}")
    status, reason = fault.status_code, " ".join(str(fault).split())[:REASON_CHARS]
    if status == 401:
        return StoreRefused(
            f"Elasticsearch at {at} refused the credentials: check store.username, store.password,"
            " store.api_key"
        )
    kind = _type(fault.body)
    if status in _LATER or kind in _PASSING or kind == _DELETED:
        return StoreUnavailable(f"Elasticsearch at {at} does not serve us now: {reason}")
    return StoreRefused(f"Elasticsearch at {at} refused what we asked (status {status}): {reason}")


def _type(body: object) -> str:
    """The type of Elasticsearch's error; empty if a proxy before it answered."""
    match body:
        case {"error": {"type": str(kind)}}:
            return kind
    return ""
