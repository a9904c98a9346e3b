"""Why alert decided as it did. The texts go to `notifications`, logs and metrics: they stay."""

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of decisions."""

    OPENED = "opened"
    """The incident is new to the receiver: told."""

    ESCALATED = "escalated"
    """Its severity has risen: told."""

    EXTENDED = "extended"
    """A model, a user or a metric joined: told to receivers that want it."""

    REPEATED = "repeated"
    """It is still open `repeat_interval_s` after the last message, and nobody has acknowledged it:
    told again.
    """

    ACKNOWLEDGED = "acknowledged"
    """Somebody cares for it: told to receivers that were told of it."""

    RESOLVED = "resolved"
    """It is over, and the receiver was told of it: told."""

    GIVEN_UP = "given_up"
    """No data came for so long that it is waited for no more, and the receiver was told of it:
    told. It is not said to be resolved.
    """

    CLOSED = "closed"
    """A person, or a change of settings, ended it, and the receiver was told of it: told."""

    NEW_LEVEL = "new_level"
    """What is wrong is still so, and is taken as the new level: told once to those who were told of
    it, and repeated no more.
    """

    SUMMARY = "summary"
    """The message that sums up what was listed for it."""

    WAITS_FOR_EARLIER = "waits for earlier message"
    """To be told when the fate of an earlier message about the same incident is known."""

    LISTED_OLD = "too old to be told singly"
    """Listed in the next summary."""

    LISTED_BACKLOG = "too many messages wait"
    """Listed in the next summary, since the receiver has `max_waiting` messages to take first."""

    LISTED_CAP = "too many pages within an hour"
    """Listed in a summary, since the receiver had its `pages_per_hour` already."""

    SILENCED = "silenced"
    """Held back by a silence, whose id the record's detail has; told when the silence ends, if the
    incident is open then.
    """

    COMMANDED = "commanded"
    """A command was taken or refused; the audit record says what came of it."""

    LISTED_AGAIN = "listed in summary"
    """An incident that the next summary lists, or a summary has listed, changed: the next summary
    says how it stands now.
    """

    UPDATED_NOT_SENT = "updated"
    """More of the same joined: nobody is told."""

    BELOW_SEVERITY = "below the receiver's severity"
    """Not told."""

    NOT_MATCHED = "does not match the receiver"
    """Not told, by the receiver's `match`."""

    NOT_ROUTED = "not routed: matches no receiver"
    """Nobody is told: no receiver's `match` holds."""

    RESOLVED_NOT_SENT = "nobody was told that it was open"
    """Its end is not told, since no message about its start was taken by the receiver."""

    RESOLVED_NOT_WANTED = "receiver wants no resolved"
    """Its end is not told, by the receiver's setting."""

    DUPLICATE = "came before"
    """The record is at or below the highest of its correlate lane: nothing happens."""

    DELIVERED = "delivered"
    """The receiver has taken a message."""

    FAILED = "failed"
    """A message was given up; the record's reason says why."""

    RECEIVER_GONE = "receiver is no longer configured"
    """A message that waited was given up."""


class Attempt(StrEnum):
    """Reasons for what follows an attempt to deliver."""

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
