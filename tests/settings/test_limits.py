"""What no setting can be is refused with its name and what may stand there, from a file and a
variable; no file hangs or ends in a bug.
"""

import os
import time
from pathlib import Path

import pytest

from topology.settings.limits import leaves
from topology.settings.loading import SettingsRefused, load

TOKEN = "o" * 16
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests."""
    for name in list(os.environ):
        if name.startswith("SENTINEL_"):
            monkeypatch.delenv(name)


def _faults(path: Path | None) -> list[str]:
    with pytest.raises(SettingsRefused) as refused:
        load(path)
    lines = [str(fault) for fault in refused.value.faults]
    assert not any("\n" in line for line in lines)
    return lines


def _of(folder: Path, text: str) -> list[str]:
    path = folder / "s.yaml"
    path.write_text(text)
    return [line.replace(str(path), "s.yaml") for line in _faults(path)]


def test_every_setting_with_a_fraction_refuses_what_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one there is, from the file and from the environment, by its name: NaN passes every
    comparison, and no worker can wait for ever.
    """
    paths = [
        leaf.path
        for leaf in leaves(load().settings)
        if isinstance(leaf.value, float) or leaf.optional
    ]
    numbers = [path for path in paths if path.endswith(("_s", "_share", "threshold"))]
    assert len(numbers) > 30
    for path in numbers:
        *sections, key = path.split(".")
        for value in (".nan", ".inf", "-.inf"):
            text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(sections))
            lines = _of(tmp_path, f"{text}{'  ' * len(sections)}{key}: {value}\n")
            assert any(key in line and line.startswith("s.yaml:") for line in lines), (
                path,
                value,
                lines,
            )
        name = "SENTINEL_" + "__".join([*sections, key]).upper()
        monkeypatch.setenv(name, "nan")
        lines = _faults(None)
        # The checks of a group's own type do not know which variable gave a key of it.
        assert any(
            key in line and line.startswith((f"env {name}: ", "settings: ")) for line in lines
        ), (path, lines)
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "correlation: {give_up_s: .inf}",
            (
                "s.yaml:1: correlation.give_up_s: is inf; it must be a finite number, at most"
                " 1,000,000,000"
            ),
        ),
        ("alerting: {repeat_interval_s: .inf}", "at most 1,000,000,000, or null for never"),
        ("correlation: {give_up_s: 1e300}", "correlation.give_up_s: must be at most 1,000,000,000"),
        (
            "lanes: {bucket_s: 99999999999999999999}",
            "s.yaml:1: lanes.bucket_s: is a number that is too large",
        ),
        ("lanes: {bucket_s: 9999999999999}", "lanes.bucket_s: must be at most 86,400"),
        (
            "lanes: {max_fetch_bytes: 2147483647}",
            "lanes.max_fetch_bytes: must be at most 536,870,911",
        ),
        (
            "correlation: {max_open: 99999999999}",
            "correlation.max_open: must be at most 2,147,483,647",
        ),
        ("broker: {request_timeout_s: 301}", "broker.request_timeout_s: must be at most 300"),
        (
            "store: {retention: {event_days: 100001}}",
            "event_days: must be at most 100,000, or null for never",
        ),
        (
            "api: {port: 70000}",
            "s.yaml:1: api.port: must be a port, 1 to 65535, or 0 for a free one",
        ),
        ("api: {port: -1}", "api.port: must be a port"),
        ("worker: {health_port: 70000}", "worker.health_port: must be a port"),
        (
            "broker: {bootstrap_servers: 'k:9092,a:b'}",
            "broker.bootstrap_servers: 'a:b' is no host:port",
        ),
        ("broker: {bootstrap_servers: 'a:99999'}", "'a:99999' is no host:port"),
        ("broker: {bootstrap_servers: ':9092'}", "':9092' is no host:port"),
        (
            "broker: {bootstrap_servers: 'u:geheim@k:x'}",
            "broker.bootstrap_servers: '***@k:x' is no host:port",
        ),
        (
            "api: {workers: ['http://a:99999']}",
            "workers: 'http://a:99999' is no http:// address of a worker",
        ),
        (
            "api: {workers: ['http://[::1']}",
            "workers: 'http://[::1' is no http:// address of a worker",
        ),
        ("store: {urls: ['http://a:99999']}", "urls: 'http://a:99999' is no URL"),
        ("store: {urls: ['http://[::1']}", "urls: 'http://[::1' is no URL"),
        ('store: {path: "a\\0b"}', "store.path: contains a NUL character"),
        ('broker: {topic_prefix: "a\\0b"}', "broker.topic_prefix: contains a NUL character"),
        (
            'worker: {control_key: "kkkkkkkkkkkkkkkk\\0"}',
            "worker.control_key: contains a NUL character",
        ),
        (
            'worker: {control_key: "kkkkkkkkkkkkkkkk\\ud800"}',
            "worker.control_key: contains a character that is not valid UTF-8",
        ),
        (
            "broker: {topic_prefix: 'a b/'}",
            "broker.topic_prefix: must be at most 200 letters, digits",
        ),
        (
            "broker: {request_timeout_s: 0.001}",
            "broker.request_timeout_s: is 0.001; it must be at least 0.01",
        ),
        ("store: {timeout_s: 0}", "store: timeout_s is 0.0, it must be above 0"),
        ("store: {replicas: -1}", "store: replicas is -1, it must not be negative"),
        ('store: {api_key: "a\\nb"}', "store: api_key must be one word of ASCII"),
        (f'api: {{token: "{TOKEN}\\nb"}}', "api: token holds a line break"),
        (
            f"api: {{token: {TOKEN}, tenant_tokens: [{{tenant: a, token: {TOKEN}}}]}}",
            "the token of tenant 'a' is the operators' token",
        ),
        (
            (
                f"api: {{token: {TOKEN}, tenant_tokens: [{{tenant: a, token: {'t' * 16}}},"
                f" {{tenant: b, token: {'t' * 16}}}]}}"
            ),
            "the tenants 'a' and 'b' have the same token",
        ),
    ],
)
def test_what_nothing_can_be_done_with_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """In one line with the place, the name, and what may stand there."""
    (line,) = _of(tmp_path, text)
    assert says in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    "text",
    [
        "broker: {bootstrap_servers: 'kafka, k:9092, [::1]:9092, SASL://u:p@k:9093'}",
        "{api: {port: 0}, worker: {health_port: 65535}, correlation: {give_up_s: 1000000000}}",
        "store: {urls: ['http://[::1]:9200', 'http://es']}",
        (
            f"api: {{token: {TOKEN}, tenant_tokens: [{{tenant: a, token: {'t' * 16}}}, {{tenant: a,"
            f" token: {'u' * 16}}}]}}"
        ),
        "{alerting: {repeat_interval_s: null}, store: {retention: {event_days: null}}}",
    ],
)
def test_what_can_be_served_is_taken(tmp_path: Path, text: str) -> None:
    """The limits refuse nothing that works."""
    (tmp_path / "s.yaml").write_text(text)
    load(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lanes: {on: 1}", "s.yaml:1: lanes: unknown key 'on'; use one of"),
        ("lanes: {null: 1}", "unknown key 'null'"),
        ("lanes: {1: 1}", "unknown key '1'"),
        ("lanes: {2024-01-01: 1}", "unknown key '2024-01-01'"),
        ("yes: {}", "s.yaml:1: unknown section 'yes'"),
        ("lanes:\n  ? [a]\n  : 1\n", "s.yaml:2: is not YAML: found unhashable key"),
        (
            "broker:\n  client_id: 2024-13-01\n",
            "s.yaml:2: broker.client_id: looks like YAML's type timestamp",
        ),
        (
            "broker: {client_id: !!bool geheim}",
            "s.yaml:1: broker.client_id: looks like YAML's type bool",
        ),
        ("lanes: {bucket_s: !!int ''}", "s.yaml:1: lanes.bucket_s: looks like YAML's type int"),
        (
            f"lanes: {{partitions: {'9' * 5000}}}",
            "s.yaml:1: lanes.partitions: looks like YAML's type int",
        ),
        (
            f"lanes: {{partitions: 0x{'f' * 5000}}}",
            "s.yaml:1: lanes.partitions: is a number that is too large",
        ),
        (
            f"lanes: {{lateness_s: {':'.join(['1'] * 400)}.5}}",
            "s.yaml:1: lanes.lateness_s: looks like YAML's type",
        ),
        (f"a: {'[' * 2000}", "s.yaml: is nested more than 20 levels"),
        (f"a: {'[' * 30}{']' * 30}", "s.yaml:1: a[0]: is nested more than 20 levels"),
        ("broker: &a {x: *a}", "s.yaml:1: broker.x: is nested more than 20 levels"),
        ("api: {workers: &a [*a]}", "s.yaml:1: api.workers: is nested more than 20 levels"),
        (LAUGHS, "has more than 100,000 values"),
        # Two lines less: hundreds of thousands.
        (LAUGHS[: LAUGHS.index("g: ")], "has more than 100,000 values"),
        (MERGES, "has more than 100,000 values"),
        (
            'worker: {control_key_file: "a\\0b"}',
            "s.yaml:1: worker.control_key_file: must be a file name",
        ),
        (
            "worker: {control_key_file: [a]}",
            "s.yaml:1: worker.control_key_file: must be a file name",
        ),
        ("a: \0", "s.yaml: is not YAML: unacceptable character"),
        (
            f"alerting: {{receivers: '{'[' * 100_000}'}}",
            "s.yaml:1: alerting.receivers: is not a JSON list: it is nested too deeply",
        ),
        (
            f"alerting: {{receivers: '[{'9' * 5000}]'}}",
            "receivers: is not a JSON list: a number in it has too many digits",
        ),
    ],
)
def test_a_file_that_breaks_a_reader_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    """With the place, soon, and without what may be a secret."""
    began = time.process_time()
    lines = _of(tmp_path, text)
    # Of CPU, which a machine that does other things too does not stretch.
    assert time.process_time() - began < 20
    assert any(says in line for line in lines), lines
    assert "geheim" not in " ".join(lines)


@pytest.mark.parametrize(
    "json", ["[" * 100_000, f"[{'9' * 5000}]", '[{"name": "a", "pages_per_hour": 1e999}]']
)
def test_a_variable_that_breaks_a_reader_is_one_line(
    monkeypatch: pytest.MonkeyPatch, json: str
) -> None:
    """Variables take the same road."""
    monkeypatch.setenv("SENTINEL_ALERTING__RECEIVERS", json)
    (line,) = _faults(None)
    assert line.startswith("env SENTINEL_ALERTING__RECEIVERS: alerting.receivers")


def test_a_group_variable_that_breaks_a_reader_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a list is."""
    monkeypatch.setenv("SENTINEL_LANES", '{"bucket_s": ' + "9" * 5000 + "}")
    assert _faults(None) == [
        "env SENTINEL_LANES: lanes: is not a JSON object: a number in it has too many digits"
    ]
    monkeypatch.setenv("SENTINEL_LANES", '{"lateness_s": NaN, "bucket_s": ' + "9" * 4000 + "}")
    assert _faults(None) == [
        "env SENTINEL_LANES: lanes.bucket_s: must be at most 86,400",
        (
            "env SENTINEL_LANES: lanes.lateness_s: is nan; it must be a finite number, at most"
            " 1,000,000,000"
        ),
    ]
    monkeypatch.setenv("SENTINEL_LANES", "{}")
    monkeypatch.setenv("SENTINEL_WORKER", '{"control_key_file": "a\\u0000b"}')
    assert _faults(None)[0].startswith(
        "env SENTINEL_WORKER: worker.control_key_file: must be a file name"
    )


def test_a_variable_whose_bytes_are_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What signs and sends a secret needs its bytes."""
    monkeypatch.setitem(os.environb, b"SENTINEL_WORKER__CONTROL_KEY", b"k" * 16 + b"\xff")
    assert _faults(None) == [
        "env SENTINEL_WORKER__CONTROL_KEY: worker.control_key: contains a character that is not"
        " valid UTF-8; remove it"
    ]


def test_an_alias_repeats_a_group_and_its_secret(tmp_path: Path) -> None:
    """And the second place is named as the file's, not as a default."""
    path = tmp_path / "s.yaml"
    path.write_text(
        f"api:\n  token: {TOKEN}\n  tenant_tokens: [&t {{tenant: a, token: tttttttttttttttt}},"
        " *t]\nalerting:\n  retry: &r {first_s: 2}\n"
    )
    loaded = load(path)
    first, second = loaded.settings.api.tenant_tokens
    assert first == second
    rows = {row.path: row.origin for row in loaded.rows()}
    assert rows["api.tenant_tokens[1].tenant"] == f"{path}:3"


def test_merged_keys_stand_below_a_mappings_own(tmp_path: Path) -> None:
    """As YAML says of `<<`."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "lanes: &l {bucket_s: 20, lateness_s: 3}\n"
        "alerting:\n  retry: &r {first_s: 2, cap_s: 9}\n"
        "  receivers: [&a {name: a, min_severity: high}, {<<: *a, name: b}]\n"
    )
    first, second = load(path).settings.alerting.receivers
    assert (first.name, second.name, second.min_severity) == ("a", "b", "high")
