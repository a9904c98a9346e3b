"""Settings come from one file and the environment above it; every value says where it came from,
every mistake where it is.
"""

import os
from pathlib import Path

import pytest

from schemas.secrets import Secret
from topology.settings.loading import Loaded, SettingsRefused, load


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("SENTINEL_"):
            monkeypatch.delenv(name)


def _file(folder: Path, text: str) -> Path:
    path = folder / "sentinel.yaml"
    path.write_text(text)
    return path


def _faults(path: Path | None = None) -> list[str]:
    with pytest.raises(SettingsRefused) as refused:
        load(path)
    lines = [str(fault) for fault in refused.value.faults]
    assert not any("\n" in line for line in lines)
    return lines


def _row(loaded: Loaded, path: str) -> tuple[str, str, str]:
    row = next(row for row in loaded.rows() if row.path == path)
    return row.value, row.unit, row.origin


def test_without_a_file_everything_has_its_default() -> None:
    """Sentinel starts without a settings file; each value says that it is the default."""
    loaded = load()
    assert {row.origin for row in loaded.rows()} == {"default"}
    assert loaded.settings.lanes.bucket_s == 10


def test_environment_stands_above_file_and_file_above_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same key from three places: the nearest to the process wins, and show names the file's
    line or the variable.
    """
    path = _file(tmp_path, "lanes:\n  bucket_s: 20\n  lateness_s: 3\n")
    monkeypatch.setenv("SENTINEL_LANES__LATENESS_S", "7")
    loaded = load(path)
    assert (loaded.settings.lanes.bucket_s, loaded.settings.lanes.lateness_s) == (20, 7.0)
    assert _row(loaded, "lanes.bucket_s") == ("20", "s", f"{path}:2")
    assert _row(loaded, "lanes.lateness_s") == ("7", "s", "env SENTINEL_LANES__LATENESS_S")
    assert _row(loaded, "lanes.partitions") == ("12", "", "default")


def test_unknown_keys_name_line_and_nearest_known_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error is found wherever it is made, with all others, and the key that was meant is
    offered.
    """
    monkeypatch.setenv("SENTINEL_LANES__BUKET_S", "1")
    monkeypatch.setenv("SENTINEL_BROKR__TLS", "true")
    path = _file(tmp_path, "lane:\n  bucket_s: 1\nbroker:\n  bootstrap_servrs: a\n")
    assert _faults(path) == [
        "env SENTINEL_BROKR__TLS: unknown section 'brokr'; did you mean 'broker'?",
        "env SENTINEL_LANES__BUKET_S: lanes: unknown key 'buket_s'; did you mean 'bucket_s'?",
        f"{path}:1: unknown section 'lane'; did you mean 'lanes'?",
        f"{path}:4: broker: unknown key 'bootstrap_servrs'; did you mean 'bootstrap_servers'?",
    ]


def test_wrong_values_name_line_and_what_is_expected(tmp_path: Path) -> None:
    """Every wrong value is told at once, each with its place, also inside lists and from the types'
    own checks.
    """
    text = """
lanes:
  bucket_s: ten
alerting:
  receivers:
    - {name: a, kind: webhok}
    - name: hook
      kind: webhook
      url: https://example.org/
"""
    path = _file(tmp_path, text)
    first, second, third = _faults(path)
    assert first.startswith(f"{path}:3: lanes.bucket_s: ")
    assert second.startswith(f"{path}:6: alerting.receivers[0].kind: ")
    assert "unknown kind 'webhok'; did you mean 'webhook'?" in second
    assert third.startswith(
        f"{path}:7: alerting.receivers[1]: receiver 'hook': a webhook needs a secret"
    )


@pytest.mark.parametrize(
    ("receiver", "says"),
    [
        (
            "{name: a, kind: webhook, channel: C1}",
            "[0].channel: is a key of the kind slack, not of webhook",
        ),
        (
            "{name: a, kind: slack, secret: xoxb-1, chanel: C1}",
            "[0]: unknown key 'chanel'; did you mean 'channel'?",
        ),
        (
            "{name: a, kind: slack, secret: xoxb-1, channel: [C1]}",
            "[0].channel: Input should be a valid string",
        ),
        ("{name: a, kind: 7}", "[0].kind: "),
        ("{name: a, pages_per_hour: many}", "[0].pages_per_hour: "),
    ],
)
def test_a_receivers_kind_says_which_keys_it_has(tmp_path: Path, receiver: str, says: str) -> None:
    """A fault names the path as people write it, and the kind that a misplaced key belongs to."""
    [fault] = _faults(_file(tmp_path, f"alerting:\n  receivers:\n    - {receiver}\n"))
    assert f"sentinel.yaml:3: alerting.receivers{says}" in fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("broker:\n  tls: [", "sentinel.yaml:2: is not YAML"),
        ("- broker", "must contain sections"),
        (
            "lanes:\n  bucket_s: 1\n  bucket_s: 2\n",
            "sentinel.yaml:3: lanes.bucket_s: duplicate key",
        ),
        ("lanes:\n  bucket_s: 0\n", "sentinel.yaml:2: lanes.bucket_s: is 0; it must be above 0"),
        ("lanes:\n  flush_min_s: 20\n", "flush_min_s: is above lanes.flush_max_s"),
        ("broker:\n  heartbeat_interval_s: 3\n", "heartbeat_interval_s: is above a third"),
        ("broker:\n  password: 123\n", "password: must be text; quote it"),
        ("worker:\n  log_level: loud\n", "log_level: must be debug, info, warning or error"),
        ("broker:\n  username: u\n  password: p\n", "plain text"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """What cannot work is said before anything starts."""
    assert any(says in line for line in _faults(_file(tmp_path, text)))


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A wrong path is no traceback."""
    assert _faults(tmp_path / "none.yaml") == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    ]


def test_empty_file_and_empty_section_are_the_defaults(tmp_path: Path) -> None:
    """A file with everything commented out is a file without settings."""
    assert load(_file(tmp_path, "")).settings == load().settings
    assert load(_file(tmp_path, "broker:\n  # tls: true\n")).settings == load().settings


def test_secrets_come_from_files_beside_the_settings(tmp_path: Path) -> None:
    """`<key>_file` is read, relative to the settings file, without its last newline; show says the
    file, never the secret.
    """
    (tmp_path / "kafka").write_text("geheim\n")
    (tmp_path / "hook").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    text = """
broker: {tls: true, username: u, password_file: kafka}
alerting:
  receivers:
    - {name: hook, kind: webhook, url: "https://example.org/", secret_file: hook}
"""
    path = _file(tmp_path, text)
    loaded = load(path)
    assert loaded.settings.broker.password == Secret("geheim")
    assert loaded.settings.alerting.receivers[0].secret.reveal().startswith("whsec_")
    assert _row(loaded, "broker.password") == ("***", "", f"{path}:2 (kafka)")


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither show nor repr nor a refusal carries a secret from the environment."""
    monkeypatch.setenv("SENTINEL_BROKER__PASSWORD", "geheim")
    assert "geheim" not in " ".join(_faults())
    monkeypatch.setenv("SENTINEL_BROKER__USERNAME", "u")
    monkeypatch.setenv("SENTINEL_BROKER__TLS", "true")
    loaded = load()
    assert "geheim" not in repr(loaded)
    assert "geheim" not in repr(list(loaded.rows()))
    assert loaded.settings.broker.password.reveal() == "geheim"


def test_unreadable_secret_file_is_named(tmp_path: Path) -> None:
    """A secret that is not there is a refusal, not an empty password."""
    path = _file(tmp_path, "broker: {tls: true, username: u, password_file: none}")
    assert (
        f"{path}:1: broker.password_file: cannot read none: No such file or directory"
        in _faults(path)
    )


def test_lists_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers can be set without a file; a mistake in the JSON names the variable."""
    monkeypatch.setenv(
        "SENTINEL_ALERTING__RECEIVERS", '[{"name": "quiet", "min_severity": "high"}]'
    )
    (receiver,) = load().settings.alerting.receivers
    assert (receiver.name, receiver.min_severity) == ("quiet", "high")
    monkeypatch.setenv("SENTINEL_ALERTING__RECEIVERS", '[{"name": "quiet", "min_severty": "high"}]')
    assert _faults() == [
        "env SENTINEL_ALERTING__RECEIVERS: alerting.receivers[0]: unknown key 'min_severty'; did"
        " you mean 'min_severity'?"
    ]
    monkeypatch.setenv("SENTINEL_ALERTING__RECEIVERS", "[{")
    assert "is not a JSON list" in _faults()[0]


def test_other_variables_of_ours_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """SENTINEL_CONFIG and the tests' addresses stand beside the settings without being some."""
    monkeypatch.setenv("SENTINEL_CONFIG", "x")
    monkeypatch.setenv("SENTINEL_TEST_KAFKA", "y")
    assert load().origins == {}


def test_a_section_comes_from_one_variable_and_its_keys_from_others_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A section as JSON, `null` for none, names in any case; what contradicts itself or is no JSON
    is told by its variable.
    """
    monkeypatch.setenv("SENTINEL_LANES", '{"bucket_s": 20, "lateness_s": 3}')
    monkeypatch.setenv("sentinel_lanes__lateness_s", "7")
    monkeypatch.setenv("SENTINEL_ALERTING__RETRY", '{"first_s": 2}')
    monkeypatch.setenv("SENTINEL_BROKER__USERNAME", "null")
    settings = load().settings
    assert (
        settings.lanes.bucket_s,
        settings.lanes.lateness_s,
        settings.alerting.retry.first_s,
    ) == (20, 7.0, 2.0)
    assert settings.broker.username is None
    monkeypatch.setenv("SENTINEL_ALERTING__RETRY", "2")
    monkeypatch.setenv("SENTINEL_LANES__BUCKET_S__MORE", "2")
    assert _faults() == [
        "env SENTINEL_ALERTING__RETRY: alerting.retry: is not a JSON object",
        (
            "env SENTINEL_LANES__BUCKET_S__MORE: lanes.bucket_s.more: 'bucket_s' is set to a"
            " value by another variable, so it can have no keys"
        ),
    ]


ADDRESSES = """
alerting:
  page_url: https://u:geheim@page.example/
  receivers:
    - name: hook
      kind: webhook
      url: "https://u:geheim@hooks.example/T0AB/geheim1234567890ab?key=geheim&x=geheim#token=geheim"
      secret: whsec_x
  heartbeat: {url: "https://hc.example/geheim"}
api:
  workers: ["http://u:geheim@detect:8080"]
  token: geheim-geheim-geheim
broker:
  bootstrap_servers: "u:geheim@kafka-1:9093,SASL://u:geheim@kafka-2:9093"
"""


def test_no_address_shows_its_password_or_token(tmp_path: Path) -> None:
    """In user info, query, fragment and path, of every setting; what is no secret is shown."""
    shown = {row.path: row.value for row in load(_file(tmp_path, ADDRESSES)).rows()}
    assert not [path for path, value in shown.items() if "geheim" in value]
    assert (
        shown["alerting.receivers[0].url"]
        == "https://***@hooks.example/T0AB/***?key=***&x=***#token=***"
    )
    assert shown["broker.bootstrap_servers"] == "***@kafka-1:9093,SASL://***@kafka-2:9093"
    assert shown["api.workers"] == "http://***@detect:8080"


@pytest.mark.parametrize(
    "text",
    [
        "store: {kind: elasticsearch, urls: ['u:geheim@es:9200']}",
        "store: {kind: elasticsearch, urls: ['https://u:geheim@es:9200']}",
        "store: {kind: elasticsearch, urls: ['ftp://u:geheim@es:9200']}",
        "alerting: {page_url: 'ftp://u:geheim@page.example'}",
        "alerting: {page_url: 'u:geheim@page.example'}",
        "api: {workers: ['u:geheim@detect:8080']}",
        "lanes: {bucket_s: 'https://u:geheim@x'}",
        "broker: {password_file: whsec_geheim}",
        "worker: {control_key: geheim}",
        "api: {token: geheim}",
    ],
)
def test_no_refusal_shows_a_secret(tmp_path: Path, text: str) -> None:
    """Also where the value is what is wrong."""
    assert "geheim" not in " ".join(_faults(_file(tmp_path, text)))
