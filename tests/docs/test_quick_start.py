"""The quick start, typed from top to bottom by somebody who follows it."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.docs.pages import Block, blocks
from tests.docs.terminal import Terminal, terminal
from topology.supervision.ports import free_port

pytestmark = pytest.mark.system

PAGE = "docs/quick-start.md"
SHOWS = {
    "umask": r"sentinel\.yaml: good",
    "sentinel topics": r"telemetry +4 +created",
    "sentinel notify-test": r"hook",
    "sentinel standalone": r'"live":true',
    "sentinel doctor": r"groups +ok +sink: 1 worker(.*\n)*.*page +ok",
    "sentinel incidents": r"opened_at +severity(.*\n)*.*demo",
    "echo": r"#token=[0-9a-f]{64}",
    "sentinel produce": r"events to \S+telemetry",
    "curl": r"(incident\.opened(.*\n)*.*){3}",
    "ask()": r"reason +rule slow(.*\n)*evidence\s+value +12000000",
    "sentinel acknowledge": r"load test +applied",
    "NEW": r'"id":"\w+","tenant":"acme","matchers":\["application=checkout"\]',
    "SILENCE": r"end of silence .*: applied",
    "ask ": r'"delivered"',
    "sentinel messages": r"opened(.*\n)*.*acknowledge",
    "sentinel settings": r"worker\.control_key +\*\*\*(.*\n)*lane",
}
"""What the block that begins so must print; typed again until it does, since the stages take a
moment.
"""


@dataclass
class Reader:
    """Somebody at a terminal, with other ports and another prefix than the page has, since this
    machine has other tests, and in a hurry.
    """

    shell: Terminal
    replaced: dict[str, str]
    said: dict[str, str]

    def types(self, block: Block) -> None:
        """A block of the page."""
        typed = block.text
        for there, here in self.replaced.items():
            typed = typed.replace(there, here)
        name = next((name for name in SHOWS if typed.startswith(name)), "")
        where = f"{block.page}:{block.line}"
        if name:
            self.said[name] = self.shell.until(typed, SHOWS[name])
        else:
            status, said = self.shell.run(typed)
            assert status == 0, f"{where}: {said}"


@pytest.fixture(scope="module")
def reader(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """After the last block was typed."""
    folder, prefix = tmp_path_factory.mktemp("try"), f"quick{free_port()}."
    replaced = {
        "127.0.0.1:9092": kafka,
        "127.0.0.1:8088": f"127.0.0.1:{(api := free_port())}",
        "port: 8088": f"port: {api}",
        "9000": str(free_port()),
        "sentinel.telemetry": f"{prefix}telemetry",
        "--speed 120": "--speed 600",
        # This environment is what they make.
        "make setup ": "true ",
        ". .venv/bin/activate ": "which sentinel ",
    }
    with ExitStack() as stack:
        shell = stack.enter_context(terminal(folder, {"SENTINEL_BROKER__TOPIC_PREFIX": prefix}))
        made = Reader(shell, replaced, {})
        for block in blocks(PAGE):
            if block.language == "sh":
                made.types(block)
        yield made


def test_every_block_works_in_turn(reader: Reader) -> None:
    """No line fails, and each shows what the page says."""
    assert set(reader.said) == set(SHOWS)


def test_the_recorded_hour_becomes_incidents_and_messages(reader: Reader) -> None:
    """More than one of the seven faults is found, and the receiver is told; the test message came
    too.
    """
    found = json.loads(reader.said["curl"].split("\nincident.")[0])
    assert len(found["items"]) >= 2
    assert {one["tenant"] for one in found["items"]} == {"demo"}
    assert len(re.findall(r"incident\.opened", reader.said["curl"])) >= 3


def test_the_page_says_what_was_decided(reader: Reader) -> None:
    """Of the own incident: that it was told, and that it was taken."""
    outcomes = {one["outcome"] for one in json.loads(reader.said["ask "])["items"]}
    assert {"decided", "delivered"} <= outcomes


def test_everything_ends_when_it_is_told(reader: Reader) -> None:
    """After the last block nothing runs any more in that terminal."""
    assert reader.shell.run("jobs -r")[1] == ""


def test_what_the_shell_says_of_a_failure_is_seen(tmp_path: Path) -> None:
    """The test above can fail: a line in the middle that fails is told, and later lines work on."""
    with terminal(tmp_path, {}) as shell:
        assert shell.run("true\nsentinel no-such-command\ntrue")[0] == 2
        assert shell.run("x=1") == (0, "")
        assert shell.run("echo $x") == (0, "1")


def test_nothing_is_left_when_the_test_is_killed(tmp_path: Path) -> None:
    """As when pytest dies: its end of the pipe is closed, and what runs behind the shell ends with
    it.
    """
    with terminal(tmp_path, {}) as shell:
        started = [psutil.Process(int(shell.run("sleep 600 & echo $!")[1]))]
        while started[0].name() != "sleep":
            # Still a copy of the shell.
            time.sleep(0.01)
        shell.hang_up()
        psutil.wait_procs(started, timeout=300)
        # One that nobody has buried yet runs no more.
        assert all(
            not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in started
        )
