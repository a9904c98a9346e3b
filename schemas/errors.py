"""Errors of all layers: one for bad records, one whose text is for people."""

from enum import StrEnum
from typing import ClassVar


class UserError(Exception):
    """An error whose text tells a person what to change.

    The text is one plain line, or one for each thing to change. The command line prints it without
    a traceback and ends with `exit_status`.
    """

    exit_status: ClassVar[int] = 1


class Reason(StrEnum):
    """Why a record is bad. The texts are in headers of dead letters and labels of metrics, so they
    must not change.
    """

    MISSING = "no value"
    EMPTY = "empty record"
    TOO_LARGE = "record too large"
    NO_MAGIC = "wrong magic byte"
    UNKNOWN_SCHEMA = "unknown schema id"
    WRONG_SCHEMA = "schema not allowed on this topic"
    REFUSED_SCHEMA = "schema refused"
    UNDECODABLE = "does not decode with its schema"
    TRAILING = "bytes after the end of the record"
    BLANK = "empty text"
    TOO_LONG = "text too long"
    OUT_OF_RANGE = "number out of range"
    NOT_FINITE = "not a finite number"
    TOO_MANY = "too many items"


class BadRecord(ValueError):
    """A record that must not be processed: the first fate of an error. Its raw bytes go to
    dead-letters.

    `reason` says what is wrong, mostly a `Reason`; `field` is the schema's name of the field that
    is wrong, None when no single one is known; `schema_id` the writer's id as far as it could be
    read; `detail` refines the reason, as in "negative", from a small set of texts.
    """

    def __init__(
        self,
        reason: str,
        field: str | None = None,
        schema_id: int | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(reason, field, schema_id)
        self.reason = reason
        self.field = field
        self.schema_id = schema_id
        self.detail = detail

    def __str__(self) -> str:
        where = "" if self.field is None else f" in field {self.field}"
        what = "" if self.schema_id is None else f" (schema {self.schema_id})"
        return f"{self.reason}{where}{what}"
