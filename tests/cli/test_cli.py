"""What a person at the keyboard gets: help at once, one plain line for a mistake, and exit statuses
that scripts can use.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from typer.main import get_command
from typer.testing import CliRunner

from schemas.records.anomalies import Anomaly, Breakdown, Direction, Evidence, Severity
from streams.client.brokers import producer_config
from streams.settings import Broker
from topology.cli import app
from topology.control.reading import whole
from topology.supervision.embedded import EmbeddedBroker
from topology.supervision.ports import free_port

COMMANDS = [
    ("worker",),
    ("standalone",),
    ("topics",),
    ("topics", "create"),
    ("topics", "check"),
    ("settings",),
    ("settings", "show"),
    ("settings", "validate"),
    ("settings", "publish"),
    ("lanes",),
    ("lanes", "show"),
    ("lanes", "reset"),
    ("capacity",),
    ("produce",),
    ("explain",),
    ("backtest",),
    ("demo",),
    ("init",),
    ("doctor",),
    ("incidents",),
    ("anomalies",),
    ("messages",),
    ("audit",),
    ("api",),
    ("silence",),
    ("acknowledge",),
    ("notify-test",),
    ("produce",),
]


def _sentinel(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
    return subprocess.run(
        [sys.executable, "-m", "topology", *words],
        capture_output=True,
        text=True,
        env={**ours, **variables},
        timeout=300,
        check=False,
    )


def _line(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line of a mistake: no traceback, nothing on standard output."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("sentinel: ")
    return line


def _on(address: str, prefix: str = "sentinel.") -> Mapping[str, str]:
    return {
        "SENTINEL_BROKER__BOOTSTRAP_SERVERS": address,
        "SENTINEL_BROKER__TOPIC_PREFIX": prefix,
        "SENTINEL_LANES__PARTITIONS": "2",
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: Sequence[str]) -> None:
    """--help of each command works, says what it does, and those that do something show an
    example.
    """
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="sentinel")
    assert done.exit_code == 0
    assert done.stdout.startswith("Usage: sentinel ")
    if command not in (("topics",), ("settings",), ("lanes",)):
        assert "Example" in done.stdout


def test_help_lists_every_command_in_a_group_in_one_line_each() -> None:
    """Nobody looks for a command among twenty; one that was added is in a group too."""
    said = CliRunner().invoke(app, ["--help"], prog_name="sentinel", env={"COLUMNS": "80"}).stdout
    assert "Others" not in said
    commands = said.partition("Getting started:")[2].splitlines()
    assert {line.split()[0] for line in commands if line.startswith("  ")} == set(
        get_command(app).commands
    )
    assert all(line.startswith("  ") or line.endswith(":") or not line for line in commands)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    """Each shell is given a script that asks the command itself; the command names what can
    follow.
    """
    script = _sentinel(
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", _SENTINEL_COMPLETE=f"source_{shell}"
    )
    assert script.returncode == 0, script.stderr
    assert "_SENTINEL_COMPLETE" in script.stdout
    words = {"bash": {"COMP_WORDS": "sentinel inc", "COMP_CWORD": "1"}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": "sentinel inc", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    )
    assert "incidents" in _sentinel(_SENTINEL_COMPLETE=f"complete_{shell}", **words).stdout


def test_help_imports_nothing_heavy() -> None:
    """`sentinel --help` answers at once: no Kafka client, no framework, no numpy is loaded
    for it.
    """
    code = """
import sys
from topology.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"faust", "aiokafka", "confluent_kafka", "polars", "numpy", "pydantic", "aiohttp"}
heavy &= set(sys.modules)
sys.stderr.write(",".join(sorted(heavy)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_mistakes_in_the_settings_are_one_line_each(tmp_path: Path) -> None:
    """Any command refuses wrong settings with a line for each, in the file's own words."""
    path = tmp_path / "s.yaml"
    path.write_text("broker:\n  tsl: true\nlanes:\n  bucket_s: x\n  lateness: 1\n")
    done = _sentinel("settings", "validate", str(path))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"sentinel: {path}:2: broker: unknown key 'tsl'; did you mean 'tls'?",
        f"sentinel: {path}:5: lanes: unknown key 'lateness'; did you mean 'lateness_s'?",
    ]
    assert _sentinel("topics", "check", "--config", str(path)).returncode == 1


def test_validate_says_good(tmp_path: Path) -> None:
    """A good file is said to be good, with status 0."""
    path = tmp_path / "s.yaml"
    path.write_text("lanes:\n  bucket_s: 10\n")
    done = _sentinel("settings", "validate", str(path))
    assert (done.returncode, done.stdout) == (0, f"{path}: good\n")


def test_show_says_where_values_come_from_and_hides_secrets(tmp_path: Path) -> None:
    """File and line, variable or default beside each value; piped output is not cut."""
    path = tmp_path / "s.yaml"
    path.write_text("lanes:\n  bucket_s: 20\n")
    done = _sentinel(
        "settings",
        "show",
        SENTINEL_CONFIG=str(path),
        SENTINEL_BROKER__USERNAME="u",
        SENTINEL_BROKER__PASSWORD="geheim",
        SENTINEL_BROKER__TLS="true",
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["lanes.bucket_s", "20", "s", f"{path}:2"] in lines
    assert ["broker.password", "***", "env", "SENTINEL_BROKER__PASSWORD"] in lines
    assert "geheim" not in done.stdout


def test_unreachable_broker_is_one_line_and_debug_shows_where() -> None:
    """The person reads what to check; with --debug anywhere on the line the traceback comes too."""
    address = f"127.0.0.1:{free_port()}"
    variables = {**_on(address), "SENTINEL_BROKER__CONNECT_TIMEOUT_S": "1"}
    assert address in _line(_sentinel("topics", "check", **variables))
    done = _sentinel("topics", "check", "--debug", **variables)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_plain_text_credentials_are_refused_before_anything_is_sent() -> None:
    """A user name without TLS stops every command that would connect."""
    variables = {"SENTINEL_BROKER__USERNAME": "u", "SENTINEL_BROKER__PASSWORD": "geheim"}
    for words in (
        ("topics", "create"),
        ("produce",),
        ("worker", "detect"),
        ("lanes", "show", "detect"),
    ):
        line = _line(_sentinel(*words, **variables))
        assert "plain text" in line
        assert "geheim" not in line


def test_wrong_command_line_is_status_2() -> None:
    """A typing error on the command line is told apart from one in the settings."""
    assert _sentinel("worker", "detekt").returncode == 2
    assert _sentinel("worker").returncode == 2


def test_a_bug_is_one_line_and_status_70() -> None:
    """What nobody foresaw is called a bug, with the status by which supervisors know it."""
    code = """
import topology.commands.settings as commands
from topology.cli import main
def broken(path):
    raise LookupError("not\\nforeseen")
commands.loaded_from = broken
main(["settings", "show"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    line = _line(done, status=70)
    assert "LookupError: not foreseen" in line
    assert "--debug" in line


def test_an_error_for_a_person_ends_with_the_status_of_its_class() -> None:
    """Each line of its text is printed, without a traceback, whichever layer declared the class."""
    code = """
import topology.commands.settings as commands
from schemas.errors import UserError
from topology.cli import main
class Unplugged(UserError, ValueError):
    exit_status = 3
def unplugged(path):
    raise Unplugged("plug it in\\nthen try again")
commands.loaded_from = unplugged
main(["settings", "show"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        3,
        "sentinel: plug it in\nsentinel: then try again\n",
    )


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
def test_neither_errors_nor_tracebacks_nor_logs_show_a_password(debug: list[str]) -> None:
    """What a library says of an address is shown without what opens it."""
    code = f"""
import topology.commands.settings as commands
from topology.cli import main
from topology.logs import configure, log_for
configure("info")
log_for("sentinel.test").warning("away", url="https://u:geheim@x.example/?key=geheim")
try:
    raise OSError("https://u:geheim@x.example is away")
except OSError as fault:
    log_for("sentinel.test").error("away", exc_info=fault)
def broken(path):
    raise LookupError("https://u:geheim@x.example/?key=geheim")
commands.loaded_from = broken
main({["settings", "show", *debug]!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if debug else 70)
    assert done.stderr.count("***@x.example") >= 3
    assert "geheim" not in done.stderr
    assert "key=***" in done.stderr


def test_topics_are_checked_created_and_refused(kafka: str, topic_prefix: str) -> None:
    """The three answers of `topics`: missing is 1, after create all is well, another partition
    count is one line.
    """
    variables = _on(kafka, topic_prefix)
    missing = _sentinel("topics", "check", **variables)
    assert missing.returncode == 1
    assert "missing" in missing.stdout
    dry = _sentinel("topics", "create", "--dry-run", **variables)
    assert (dry.returncode, "would create" in dry.stdout) == (0, True)
    assert _sentinel("topics", "check", **variables).returncode == 1
    assert _sentinel("topics", "create", **variables).returncode == 0
    assert _sentinel("topics", "check", **variables).returncode == 0
    line = _line(_sentinel("topics", "create", **{**variables, "SENTINEL_LANES__PARTITIONS": "3"}))
    assert f"{topic_prefix}telemetry has 2 partitions, not 3" in line


def test_worker_that_cannot_work_ends_soon_with_one_line(kafka: str, topic_prefix: str) -> None:
    """Broker away, topics missing, topics with other partitions: each is one line that names it,
    and none hangs.
    """
    address = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert f"no Kafka broker answers at {address}" in _line(
        _sentinel("worker", "detect", **_on(address))
    )
    assert time.monotonic() - began < 120
    variables = _on(kafka, topic_prefix)
    assert "sentinel topics create" in _line(_sentinel("worker", "detect", **variables))
    assert _sentinel("topics", "create", **variables).returncode == 0
    line = _line(_sentinel("worker", "alert", **{**variables, "SENTINEL_LANES__PARTITIONS": "3"}))
    assert f"{topic_prefix}telemetry" in line
    assert "2 partitions, not 3" in line


def test_lanes_are_shown_and_reset_is_a_dry_run_first(kafka: str, topic_prefix: str) -> None:
    """Missing topics name the command that makes them; without state there is nothing to show;
    reset changes nothing unasked.
    """
    variables = _on(kafka, topic_prefix)
    assert "sentinel topics create" in _line(_sentinel("lanes", "show", "detect", **variables))
    assert _sentinel("topics", "create", **variables).returncode == 0
    shown = _sentinel("lanes", "show", "detect", **variables)
    assert (shown.returncode, shown.stdout) == (
        0,
        "no lane of detect has state yet\n",
    ), shown.stderr
    reset = _sentinel("lanes", "reset", "detect", **variables)
    assert (reset.returncode, reset.stdout) == (
        0,
        "nothing was changed; run it again with --yes\n",
    ), reset.stderr


def test_detection_settings_are_published_signed_or_not_at_all(tmp_path: Path) -> None:
    """With a key: a version, and a control record in every lane. Without one: one line, and nothing
    is written.
    """
    path = tmp_path / "s.yaml"
    path.write_text(
        "detection:\n  rules:\n    - {name: slow, metric: latency_us, comparison: '>', threshold:"
        " 1e6}\n"
    )
    with EmbeddedBroker() as embedded:
        variables = {**embedded.environment, "SENTINEL_CONFIG": str(path)}
        assert "worker.control_key_file" in _line(_sentinel("settings", "publish", **variables))
        assert _end_offsets(embedded.address, "sentinel.telemetry") == 0
        done = _sentinel("settings", "publish", SENTINEL_WORKER__CONTROL_KEY="k" * 32, **variables)
        assert done.returncode == 0, done.stderr
        assert "take effect in every lane" in done.stdout
        assert _end_offsets(embedded.address, "sentinel.telemetry") == 4
        assert _end_offsets(embedded.address, "sentinel.settings") == 1
        again = _sentinel("settings", "publish", SENTINEL_WORKER__CONTROL_KEY="k" * 32, **variables)
        assert again.returncode == 0, again.stderr
        assert _end_offsets(embedded.address, "sentinel.telemetry") == 8
        numbers = [
            int(dict(one.headers)["sentinel-number"])
            for one in whole(Broker(bootstrap_servers=embedded.address), ["sentinel.telemetry"])
        ]
        assert len(numbers) == 8
        assert len(set(numbers)) == 2, (
            "every lane has both publications, under the same two numbers"
        )


def test_produce_sends_what_it_says() -> None:
    """`produce --rate` sends the promised number of events, on the topic under the prefix."""
    with EmbeddedBroker() as embedded:
        done = _sentinel("produce", "--rate", "200", "--seconds", "1", **embedded.environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("200 events to sentinel.telemetry")
        counted = _end_offsets(embedded.address, "sentinel.telemetry")
    assert counted == 200


def test_explain_finds_one_anomaly_among_others(kafka: str, topic_prefix: str) -> None:
    """The evidence of exactly this anomaly is printed; an id that is not there is one line."""
    topic = f"{topic_prefix}anomalies"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(120)
    while topic not in admin.list_topics(timeout=120).topics:
        time.sleep(0.02)
    producer = Producer(producer_config(Broker(bootstrap_servers=kafka)))
    for name in ("a" * 32, "b" * 32):
        producer.produce(topic, _anomaly(name).to_bytes(), b"acme")
    producer.produce(topic, b"garbage " + b"b" * 32, b"other")
    producer.produce(topic, None, b"other", headers=[("sentinel-watermark", b"0 1 2")])
    assert producer.flush(120) == 0
    done = _sentinel("explain", "b" * 32, **_on(kafka, topic_prefix))
    assert done.returncode == 0, done.stderr
    assert "b" * 32 in done.stdout
    assert "a" * 32 not in done.stdout
    assert "latency: observed 950000, expected 310000 (above)" in done.stdout
    assert "median_us  310000" in done.stdout
    assert "breakdown\n  error_type rate_limit  41\n  http_status �[31m429   41\n" in done.stdout
    assert "events     e1\n" in done.stdout
    assert "traces     4bf92f3577b34da6a3ce929d0e0e4736\n" in done.stdout
    assert "no anomaly nothing" in _line(
        _sentinel("explain", "nothing", **_on(kafka, topic_prefix))
    )


def _anomaly(name: str) -> Anomaly:
    return Anomaly(
        id=name,
        tenant="acme",
        application="chat",
        model="heron",
        metric="latency",
        detector="deviation",
        detector_version=1,
        settings_version="0",
        window_start=1_700_000_000_000_000,
        window_end=1_700_000_010_000_000,
        event_time=1_700_000_010_000_000,
        observed=950_000.0,
        expected=310_000.0,
        score=7.25,
        severity=Severity.HIGH,
        confidence=0.9,
        direction=Direction.ABOVE,
        reason="far above the usual",
        evidence=(Evidence(name="median_us", value=310_000.0),),
        sample_event_ids=("e1",),
        sample_trace_ids=("4bf92f3577b34da6a3ce929d0e0e4736",),
        breakdown=(
            Breakdown("error_type", "rate_limit", 41),
            Breakdown("http_status", "\x1b[31m429", 41),
        ),
        lane=3,
        offset=77,
        ordinal=0,
    )


def _end_offsets(address: str, topic: str) -> int:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": address, "group.id": "none"})
    try:
        parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=120)[1]
            for part in parts
        )
    finally:
        consumer.close()


def test_what_a_command_writes_is_for_its_own_user(tmp_path: Path) -> None:
    """Whatever the umask of who starts it; stricter ones stay."""
    code = (
        "import os\nfrom topology.cli import main\ntry:\n    main(['--version'])\nfinally:\n   "
        " print(oct(os.umask(0)))"
    )
    for mask, left in ((0o022, "0o77"), (0o177, "0o177")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            umask=mask,
            cwd=tmp_path,
            timeout=300,
        )
        assert done.stdout.splitlines()[-1] == left
