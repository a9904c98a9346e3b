"""Every command on every page: it is known here how it is checked, and a command that nobody
classified fails.

The quick start is typed whole (test_quick_start). What stands elsewhere is typed too where it can
run on any machine; what cannot is checked otherwise, each with its reason.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from typer.main import get_command

from tests.conftest import without
from tests.docs.pages import PAGES, ROOT, blocks, text
from tests.docs.terminal import terminal
from topology.cli import app
from topology.settings.loading import load

COMPOSE: Final = ROOT / ".servers" / "compose" / "docker-compose"
BIN: Final = Path(sys.executable).parent
TYPED_WHOLE: Final = "docs/quick-start.md"
TYPED_HERE: Final = ("README.md", "docs/operations.md")
"""Pages whose `sentinel` commands in blocks are typed below, and so are not only read."""

PLACEHOLDERS: Final[Mapping[str, str]] = {"STAGE": "detect", "FILE": "sentinel.yaml"}

_INLINE: Final = re.compile(r"`((?:sentinel|make|pytest|python -m|docker compose|sh) [^`]+)`")


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and where it stands."""

    where: str
    line: str


def _commands() -> Iterator[Command]:
    for page in PAGES:
        in_blocks = (
            line for block in blocks(page) if block.language == "sh" for line in block.commands
        )
        lines = (
            _INLINE.findall(text(page))
            if page == TYPED_WHOLE
            else [*in_blocks, *_INLINE.findall(text(page))]
        )
        for line in dict.fromkeys(part.strip() for each in lines for part in each.split("&&")):
            yield Command(page, line)


def _parses(line: str) -> None:
    """Command, options and arguments are those of `sentinel`."""
    command, words = (
        get_command(app),
        [PLACEHOLDERS.get(word, word) for word in shlex.split(line)[1:]],
    )
    while hasattr(command, "commands"):
        assert words, f"{line}: which of {', '.join(command.commands)}?"
        if words[0].startswith("--"):
            # Not parsed: some of these act at once.
            assert any(words == [option] for each in command.params for option in each.opts), (
                f"{line}: no such option"
            )
            return
        command = command.commands[words.pop(0)]
    command.make_context("sentinel", words)


def _made(line: str) -> None:
    """make knows the target, and every file that it is made from."""
    _runs("make", "--dry-run", *shlex.split(line)[1:])


def _is_there(line: str) -> None:
    """The tests that it names are tests of this run."""
    paths = [word for word in shlex.split(line)[1:] if not word.startswith("-")]
    assert paths
    assert all((ROOT / path).exists() for path in paths), f"{paths} not found"


def _has_help(line: str) -> None:
    """The module is there, and takes these options."""
    module, *options = shlex.split(line)[2:]
    said = _runs(sys.executable, "-m", module, "--help")
    assert all(option in said for option in options)


def _composed(line: str) -> None:
    """Compose has the command with these options; services are ours; and what is run in one of them
    is a command of `sentinel`.
    """
    subcommand, *words = shlex.split(line)[2:]
    if not COMPOSE.exists():
        without("compose", f"{COMPOSE} was not built: make servers, with Go installed")
    said = _runs(str(COMPOSE), subcommand, "--help")
    services = _runs(str(COMPOSE), "config", "--services", "--no-interpolate").split()
    if subcommand == "exec":
        assert words[0] in services
        _parses(" ".join(words[1:]))
        return
    assert all(word in said for word in words if word.startswith("--"))
    named = [word.partition("=")[0] for word in words if not word.startswith("--")]
    assert set(named) <= set(services)


def _read_by_its_shell(line: str) -> None:
    """The script is there, and its syntax is right."""
    script = shlex.split(line)[-1]
    _runs("bash" if "bash" in (ROOT / script).read_text().splitlines()[0] else "sh", "-n", script)


def _runs_here(line: str) -> None:
    """It runs, with status 0."""
    program, *words = shlex.split(line)
    _runs(str(BIN / program) if (BIN / program).exists() else program, *words)


def _runs(*words: str) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


CHECKED: Final[tuple[tuple[str, Callable[[str], None], str], ...]] = (
    (
        r"sentinel( .*)?",
        _parses,
        "in blocks typed here or in the quick start; in a sentence the words are checked",
    ),
    (
        r"make [a-z-]+",
        _made,
        (
            "these set up, test or play everything: too long to run within a test, and the demo has"
            " its own"
        ),
    ),
    (r"pytest .*", _is_there, "they are tests of this same run"),
    (r"lint-imports|python -m topology\.settings.reference", _runs_here, "short"),
    (
        r"python -m (benchmarks|tests)\.\w+.*",
        _has_help,
        "minutes of a whole machine; tests run them small",
    ),
    (r"docker compose .*", _composed, "there may be no Docker; compose's own parser reads it"),
    (
        r"sh deploy/compose/make-secrets|\.ci/run",
        _read_by_its_shell,
        "one writes into the checkout, one runs these tests",
    ),
)
"""A pattern for whole command lines, how they are checked, and why so."""


@pytest.mark.parametrize(
    "command", list(_commands()), ids=lambda command: f"{command.where}:{command.line}"[:80]
)
def test_a_command_is_one(command: Command) -> None:
    """Somebody who copies it does not get a usage error."""
    for pattern, check, _ in CHECKED:
        if re.fullmatch(pattern, command.line):
            check(command.line)
            return
    pytest.fail(f"{command.where}: nobody said how to check `{command.line}`")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sentinel wroker detect", "wroker"),
        ("sentinel worker detekt", "detekt"),
        ("sentinel topics create --dry", "--dry"),
        ("make dmeo", "dmeo"),
        ("python -m benchmarks.nothing", "nothing"),
        ("pytest tests/no", "not found"),
    ],
)
def test_a_wrong_command_is_seen(line: str, why: str) -> None:
    """The test above can fail."""
    with pytest.raises(Exception, match=why):
        test_a_command_is_one(Command("here", line))


def test_a_command_that_nobody_classified_is_seen() -> None:
    """Nor does one slip through because no pattern is meant for it."""
    with pytest.raises(pytest.fail.Exception, match="nobody said how to check `kubectl get pods`"):
        test_a_command_is_one(Command("here", "kubectl get pods"))


def test_the_commands_of_readme_and_operations_run(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Typed on a real Kafka, in their order, with the README's own settings file; a worker runs
    until it has started, and ends well.
    """
    shown = next(block.text for block in blocks("README.md") if block.language == "yaml")
    # The broker of the tests speaks plain text, and asks nobody who they are.
    _write_settings(
        tmp_path, re.sub(r"^  (tls|username|password_file): .*\n", "", shown, flags=re.MULTILINE)
    )
    variables = {
        "SENTINEL_CONFIG": "sentinel.yaml",
        "SENTINEL_BROKER__BOOTSTRAP_SERVERS": kafka,
        "SENTINEL_BROKER__TOPIC_PREFIX": topic_prefix,
        "SENTINEL_LANES__PARTITIONS": "2",
        "SENTINEL_API__PORT": "0",
        "SENTINEL_WORKER__CONTROL_KEY": "k" * 32,
    }
    typed, silence = 0, ""
    with terminal(tmp_path, variables) as shell:
        for page in TYPED_HERE:
            for line in (
                one for block in blocks(page) if block.language == "sh" for one in block.commands
            ):
                if not line.startswith("sentinel "):
                    continue
                typed += 1
                line = re.sub(r"\bID\b", silence, line).replace("INCIDENT", "f" * 32)
                if line.startswith(("sentinel standalone", "sentinel worker")):
                    shell.run(f"{line} > log 2>&1 &")
                    shell.until("cat log", "worker.started")
                    status, said = shell.run("kill $!; wait $!; cat log")
                else:
                    status, said = shell.run(line)
                assert status == 0, f"{page}: {line}\n{said}"
                if made := re.match(r"silence (\w+) of acme", said):
                    silence = made[1]
    assert typed >= 7
    assert silence


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/settings.md"])
def test_the_settings_that_a_page_shows_are_good(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sentinel settings validate` says to each block of YAML, with the secrets' files in
    place.
    """
    monkeypatch.delenv("SENTINEL_CONFIG", raising=False)
    shown = [block.text for block in blocks(page) if block.language == "yaml"]
    assert shown
    for each in shown:
        load(_write_settings(tmp_path, each))


def _write_settings(folder: Path, shown: str) -> Path:
    """The file, and beside it those that it names, each with a secret of the form that its name
    asks for.
    """
    shown = shown.replace("/run/secrets", str(folder))
    contents = {
        "hook": "whsec_" + "c2VjcmV0" * 4,
        "pagerduty": "0" * 32,
        "slack-webhook": "https://hooks.slack.com/x",
    }
    for name in re.findall(r"\w+_file: ([^,}\s]+)", shown):
        kind = next((kind for kind in contents if Path(name).name.startswith(kind)), "")
        default = "https://example.org/beat" if "heartbeat" in name else "xoxb-a-secret-of-its-own"
        (folder / name).write_text(contents.get(kind, default))
    path = folder / "sentinel.yaml"
    path.write_text(shown)
    return path


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Files and headings of this repository that a page points to are there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings
            }, target


def test_the_readme_leads_to_every_page() -> None:
    """Nothing is written that nobody finds."""
    named = set(re.findall(r"\]\((docs/[\w.-]+\.md)\)", text("README.md")))
    assert named >= {page for page in PAGES if page.startswith("docs/")}
