"""What the log of commands keeps: every command of a year, and little of what is none."""

from dataclasses import dataclass

import pytest

from schemas.errors import BadRecord, Reason
from schemas.records.control import Command
from schemas.secrets import Secret
from streams.control.command_log import MAX_COMMAND_BYTES, UNSIGNED, CommandLog, command_record
from tests.alerting.timeline import silence

KEY = Secret("the key of these tests")


@dataclass
class Read:
    """A record of the topic."""

    offset: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = b"acme"
    fault: BadRecord | None = None
    marks: tuple[tuple[str, bytes], ...] = ()


def signed(offset: int, command: Command) -> Read:
    """The record of a command."""
    made = command_record("commands", command, KEY)
    return Read(offset, made.value, made.headers, made.key)


def log_of(*records: Read) -> CommandLog:
    """The log after these records of partition 0."""
    log = CommandLog({}, "commands", KEY)
    for one in records:
        log._on_record(0, one)
    return log


@pytest.mark.parametrize("fault", [None, BadRecord("record cannot be cut into its parts")])
def test_of_a_record_that_is_no_command_little_is_kept(fault: BadRecord | None) -> None:
    """Its place, what is wrong, and where its bytes begin, with how many they were."""
    (one,) = log_of(Read(7, b"x" * 1_000_000, key=b"k" * 9_000, fault=fault)).since(0, 0)
    assert (one.offset, one.command) == (7, None)
    assert (len(one.value or b""), len(one.key or b"")) == (4_096, 1_024)
    assert dict(one.marks) == {"sentinel-size": b"1000000", "sentinel-key-size": b"9000"}
    assert one.fault is not None
    (small,) = log_of(Read(7, b"x")).since(0, 0)
    assert (small.value, small.key, small.marks, small.fault and small.fault.reason) == (
        b"x",
        b"acme",
        (),
        UNSIGNED,
    )


def test_a_command_without_bound_is_not_decoded() -> None:
    """Signed or not; what a person writes is far below."""
    command = silence("s", ends=9)
    large = Command(
        **{name: getattr(command, name) for name in command.__slots__}
        | {"comment": "x" * MAX_COMMAND_BYTES}
    )
    (one,) = log_of(signed(0, large)).since(0, 0)
    assert (one.command, one.fault and one.fault.reason) == (None, Reason.TOO_LARGE)


def test_whatever_others_write_displaces_no_command() -> None:
    """The newest of it are kept, up to a few megabytes, and the end is known."""
    log = log_of(signed(0, silence("s", ends=9)))
    for offset in range(1, 5_000):
        log._on_record(0, Read(offset, bytes(10_000)))
    kept = list(log.since(0, 0))
    assert kept[0].command is not None
    assert [one.offset for one in kept[1:]] == list(range(5_000 - len(kept) + 1, 5_000))
    assert sum(one.size for one in kept) < 6_000_000
    assert log.ends() == {0: 5_000}


def test_commands_of_a_year_are_kept() -> None:
    """One each half hour; the newest of many more."""
    command = silence("s", "application=chat-api", ends=9)
    log = log_of(*[signed(offset, command) for offset in range(60_000)])
    kept = list(log.since(0, 0))
    assert 20_000 < len(kept) < 60_000
    assert [one.offset for one in kept] == list(range(60_000 - len(kept), 60_000))
