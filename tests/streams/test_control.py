"""Control records count only with our signature, over all that they say."""

from dataclasses import replace

import pytest

from schemas.records.control import Settings
from schemas.secrets import Secret
from streams.control.records import (
    NUMBER,
    SETTINGS,
    SIGNATURE,
    SKIP,
    Headers,
    Publication,
    header,
    is_signed,
    publication,
    settings_control,
    sign,
    watermark,
)
from streams.control.settings_log import SettingsLog, skip_batch_record, skip_record, version_record

KEY = Secret("a key that nobody knows")
TOPIC, LANE = "sentinel.telemetry", 3

VERSION = Settings(
    version="v1", tenant=None, author="ann", created_at=1_760_000_000_000_000, body="{}"
)


def counts(headers: Headers, *parts: bytes, key: Secret = KEY, kind: str = SETTINGS) -> bool:
    """Whether a record with these headers that says `parts` is taken as ours."""
    return is_signed(key, headers, kind, *parts)


def test_a_signed_control_record_counts_in_its_own_lane_only() -> None:
    """Copied to another partition, another topic, or with another version in it, it is a
    forgery.
    """
    record = settings_control(TOPIC, LANE, Publication(9, "v1"), KEY)
    assert publication(TOPIC, LANE, KEY, record) == Publication(9, "v1")
    assert publication(TOPIC, LANE + 1, KEY, record) is None
    assert publication("sentinel.other", LANE, KEY, record) is None
    assert publication(TOPIC, LANE, KEY, replace(record, value=b"v2")) is None
    assert publication(TOPIC, LANE, KEY, replace(record, value=None)) is None
    assert publication(TOPIC, LANE, Secret("another key"), record) is None


@pytest.mark.parametrize("number", [(), ((NUMBER, b"10"),), ((NUMBER, b""),)])
def test_the_number_of_a_control_record_is_signed(number: Headers) -> None:
    """Without it, or with another, it is a forgery; so is one that an older program signed and
    somebody gave a number.
    """
    record = settings_control(TOPIC, LANE, Publication(9, "v1"), KEY)
    others = tuple(one for one in record.headers if one[0] != NUMBER)
    assert publication(TOPIC, LANE, KEY, replace(record, headers=(*others, *number))) is None
    old = (SIGNATURE, sign(KEY, SETTINGS, TOPIC.encode(), b"3", b"v1"))
    made = publication(TOPIC, LANE, KEY, replace(record, headers=(old, *number)))
    assert made == (None if number else Publication(0, "v1"))


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
    """An installation without a key takes no control records, also none that are signed with the
    empty key.
    """
    empty = Secret("")
    assert not counts(((SIGNATURE, sign(empty, SETTINGS, b"x")),), b"x", key=empty)


def test_a_watermark_says_lane_offset_and_time_in_three_numbers() -> None:
    """As correlate reads it."""
    record = watermark("sentinel.anomalies", 1, 3, 77, 1_760_000_000_000_000)
    assert header(record.headers, "sentinel-watermark") == b"3 77 1760000000000000"
    assert (record.value, record.partition) == (None, 1)


def log_with(
    *records: tuple[bytes | None, bytes | None, Headers], key: Secret = KEY
) -> SettingsLog:
    """A settings log after these records (key, value, headers)."""
    log = SettingsLog({}, "sentinel.settings", key, {"0": "packaged"})
    for name, value, headers in records:
        log._read(name or b"", value, headers)
    return log


def test_a_signed_version_is_known_and_an_unsigned_one_is_not() -> None:
    """Who may write to the topic but has no key changes nothing."""
    ours = version_record("sentinel.settings", VERSION, KEY)
    theirs = version_record("sentinel.settings", VERSION, Secret("another key"))
    assert log_with((ours.key, ours.value, ours.headers)).body("v1") == "{}"
    with pytest.raises(KeyError):
        log_with((theirs.key, theirs.value, theirs.headers)).body("v1")


def test_a_version_is_immutable() -> None:
    """The first body that was read under an id stands, and the packaged version is not replaced
    either.
    """
    first = version_record("sentinel.settings", VERSION, KEY)
    again = version_record("sentinel.settings", replace(VERSION, body="{} "), KEY)
    zero = version_record("sentinel.settings", replace(VERSION, version="0"), KEY)
    log = log_with(*((record.key, record.value, record.headers) for record in (first, again, zero)))
    assert (log.body("v1"), log.body("0")) == ("{}", "packaged")


def test_a_signed_skip_names_one_offset_of_one_partition() -> None:
    """Of that topic and partition only, also when it is copied; an unsigned one, or one with
    another offset in its key, is not taken.
    """
    skip = skip_record("sentinel.settings", TOPIC, LANE, 4711, "kills the decoder", KEY)
    batch = skip_batch_record("sentinel.settings", TOPIC, LANE, 4720, "kills the decoder", KEY)
    log = log_with(
        (skip.key, skip.value, skip.headers),
        (batch.key, batch.value, batch.headers),
        (skip.key, skip.value, skip.headers),
        (batch.key, batch.value, batch.headers),
        (b"skip-batch/sentinel.telemetry/3/4711", skip.value, skip.headers),
        (b"skip/sentinel.telemetry/3/4720", batch.value, batch.headers),
        (b"skip/sentinel.telemetry/3/4712", skip.value, skip.headers),
        (b"skip/sentinel.telemetry/3/4713", skip.value, ()),
    )
    assert log.skipped(TOPIC, LANE) == {4711}
    assert log.skipped(TOPIC, 2) == set()
    assert [log.is_deadly(TOPIC, LANE, offset) for offset in (4711, 4720, 4721)] == [
        False,
        True,
        False,
    ]


def test_a_control_record_of_a_lane_makes_no_version_known() -> None:
    """Copied to `settings` it is a forgery."""
    made = settings_control(TOPIC, LANE, Publication(9, "v1"), KEY)
    log = log_with((b"*/v1", made.value, made.headers), (b"", made.value, made.headers))
    with pytest.raises(KeyError):
        log.body("v1")
