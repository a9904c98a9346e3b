"""Reasons of alert's decisions. The texts go to `notifications`, logs and metrics: they stay."""

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of decisions."""

    OPENED = "opened"
    """Sent: the incident is new to the receiver."""

    ESCALATED = "escalated"
    """Sent: its severity has risen."""

    EXTENDED = "extended"
    """Sent to receivers with `send_extended`: a model, a user or a metric joined."""

    REPEATED = "repeated"
    """Sent: it is still open `repeat_interval_s` after the last message, and nobody has
    acknowledged it.
    """

    ACKNOWLEDGED = "acknowledged"
    """Sent to receivers with a message about it: a person acknowledged it."""

    RESOLVED = "resolved"
    """Sent to receivers with a message about it: it is over."""

    GIVEN_UP = "given_up"
    """Sent to receivers with a message about it: no data came for too long to wait any longer. The
    message does not call it resolved.
    """

    CLOSED = "closed"
    """Sent to receivers with a message about it: a person, or a change of settings, ended it."""

    NEW_LEVEL = "new_level"
    """Sent once, to receivers with a message about it: the value stays where it is and counts as
    the new level. Repeats stop.
    """

    SUMMARY = "summary"
    """The message that sums up what was listed for it."""

    WAITS_FOR_EARLIER = "waits for earlier message"
    """Sent when an earlier message about the same incident has its outcome."""

    LISTED_OLD = "too old to be told singly"
    """Listed in the next summary."""

    LISTED_BACKLOG = "too many messages wait"
    """Listed in the next summary, since the receiver has `max_waiting` messages waiting."""

    LISTED_CAP = "too many pages within an hour"
    """Listed in a summary, since the receiver had its `pages_per_hour` already."""

    SILENCED = "silenced"
    """Held back by a silence, whose id is the record's detail; sent when the silence ends, if the
    incident is open then.
    """

    COMMANDED = "commanded"
    """A command was obeyed or refused, as the audit record says."""

    LISTED_AGAIN = "listed in summary"
    """An incident that a summary lists, or has listed, changed: the next summary has its state of
    now.
    """

    UPDATED_NOT_SENT = "updated"
    """Not sent: more of the same joined."""

    BELOW_SEVERITY = "below the receiver's severity"
    """Not sent, by the receiver's `min_severity`."""

    NOT_MATCHED = "does not match the receiver"
    """Not sent, by the receiver's `match`."""

    NOT_ROUTED = "not routed: matches no receiver"
    """Not sent at all: no receiver's `match` holds."""

    RESOLVED_NOT_SENT = "nobody was told that it was open"
    """Its end is not sent, since the receiver accepted no message about its start."""

    RESOLVED_NOT_WANTED = "receiver wants no resolved"
    """Its end is not sent, by the receiver's `send_resolved`."""

    DUPLICATE = "came before"
    """The record was processed before: nothing happens."""

    DELIVERED = "delivered"
    """The receiver has accepted a message."""

    FAILED = "failed"
    """A message was given up; the record's reason says why."""

    RECEIVER_GONE = "receiver is no longer configured"
    """A message that waited was given up."""


class Attempt(StrEnum):
    """Reasons for the decision after an attempt to deliver."""

    DELIVERED = "delivered"
    SERVER_FAULT = "server fault"
    TOO_MANY_REQUESTS = "too many requests"
    NO_ANSWER = "no answer"
    GONE = "receiver says it is gone"
    REJECTED = "receiver rejects the message"
    REDIRECT = "redirect, not followed"
    FORBIDDEN_TARGET = "target is not allowed"
    UNRENDERABLE = "message cannot be rendered"
    DEADLINE = "deadline passed"
