"""Control records count only with our signature, over all that they say."""

from dataclasses import replace

import pytest

from schemas.records import Settings
from schemas.secrets import Secret
from streams.control import SETTINGS, SIGNATURE, SKIP, Headers, header, is_signed, settings_control, sign, watermark
from streams.settings_log import SettingsLog, skip_record, version_record

KEY = Secret("a key that nobody knows")
TOPIC, LANE = "sentinel.telemetry", 3

VERSION = Settings(version="v1", tenant=None, author="ann", created_at=1_760_000_000_000_000, body="{}")


def counts(headers: Headers, *parts: bytes, key: Secret = KEY, kind: str = SETTINGS) -> bool:
    """Whether a record with these headers that says `parts` is taken as ours."""
    return is_signed(key, headers, kind, *parts)


def test_a_signed_control_record_counts_in_its_own_lane_only() -> None:
    """Copied to another partition, another topic, or with another version in it, it is a forgery."""
    record = settings_control(TOPIC, LANE, "v1", KEY)
    assert record.value == b"v1"
    assert counts(record.headers, TOPIC.encode(), b"3", b"v1")
    assert not counts(record.headers, TOPIC.encode(), b"4", b"v1")
    assert not counts(record.headers, b"sentinel.other", b"3", b"v1")
    assert not counts(record.headers, TOPIC.encode(), b"3", b"v2")


def test_a_signature_of_one_kind_is_none_of_another() -> None:
    """A signed version is no signed skip."""
    headers = ((SIGNATURE, sign(KEY, SETTINGS, b"x")),)
    assert counts(headers, b"x")
    assert not counts(headers, b"x", kind=SKIP)


def test_parts_do_not_run_together() -> None:
    """`ab` and `c` sign something else than `a` and `bc`."""
    assert sign(KEY, SETTINGS, b"ab", b"c") != sign(KEY, SETTINGS, b"a", b"bc")


@pytest.mark.parametrize("given", [None, b"", b"0" * 64, "ü".encode()])
def test_a_missing_or_wrong_signature_does_not_count(given: bytes | None) -> None:
    """Whatever stands in the header, nothing is raised."""
    assert not counts(((SIGNATURE, given),), b"x")
    assert not counts((), b"x")


def test_without_a_key_nothing_counts() -> None:
    """An installation without a key takes no control records, also none that are signed with the empty key."""
    empty = Secret("")
    assert not counts(((SIGNATURE, sign(empty, SETTINGS, b"x")),), b"x", key=empty)


def test_a_watermark_says_lane_offset_and_time_in_three_numbers() -> None:
    """As correlate reads it."""
    record = watermark("sentinel.anomalies", 1, 3, 77, 1_760_000_000_000_000)
    assert header(record.headers, "sentinel-watermark") == b"3 77 1760000000000000"
    assert (record.value, record.partition) == (None, 1)


def log_with(*records: tuple[bytes | None, bytes | None, Headers], key: Secret = KEY) -> SettingsLog:
    """A settings log after these records (key, value, headers)."""
    log = SettingsLog({}, "sentinel.settings", key, {"0": "packaged"})
    for name, value, headers in records:
        log._take(name or b"", value, headers)
    return log


def test_a_signed_version_is_known_and_an_unsigned_one_is_not() -> None:
    """Who may write to the topic but has no key changes nothing."""
    ours = version_record("sentinel.settings", VERSION, KEY)
    theirs = version_record("sentinel.settings", VERSION, Secret("another key"))
    assert log_with((ours.key, ours.value, ours.headers)).body("v1") == "{}"
    with pytest.raises(KeyError):
        log_with((theirs.key, theirs.value, theirs.headers)).body("v1")


def test_a_version_is_immutable() -> None:
    """The first body that was read under an id stands, and the packaged version is not replaced either."""
    first = version_record("sentinel.settings", VERSION, KEY)
    again = version_record("sentinel.settings", replace(VERSION, body="{} "), KEY)
    zero = version_record("sentinel.settings", replace(VERSION, version="0"), KEY)
    log = log_with(*((record.key, record.value, record.headers) for record in (first, again, zero)))
    assert (log.body("v1"), log.body("0")) == ("{}", "packaged")


def test_a_signed_skip_names_one_offset_of_one_partition() -> None:
    """Of that topic and partition only; an unsigned one, or one with another offset in its key, is not taken."""
    skip = skip_record("sentinel.settings", TOPIC, LANE, 4711, "kills the decoder", KEY)
    log = log_with(
        (skip.key, skip.value, skip.headers),
        (b"skip/sentinel.telemetry/3/4712", skip.value, skip.headers),
        (b"skip/sentinel.telemetry/3/4713", skip.value, ()),
    )
    assert log.skipped(TOPIC, LANE) == {4711}
    assert log.skipped(TOPIC, 2) == set()
