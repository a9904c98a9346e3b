"""Pure modules stay pure: no framework comes along when they are imported, and nothing in them
waits or reads a clock.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "agents/alerting",
    "agents/correlation",
    "agents/detection",
    "agents/detectors",
    "agents/sinking",
    "streams/records",
    "streams/state",
    "topology/capacity",
)
FRAMEWORKS = ("faust", "mode", "aiokafka", "confluent_kafka", "aiohttp", "uvloop")
IMPURE = frozenset(
    {"time", "random", "secrets", "os", "socket", "subprocess", "threading", "asyncio", "logging"}
)
CLOCKS = frozenset({"now", "utcnow", "today"})


def _pure() -> list[Path]:
    inside = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*inside, ROOT / "topology" / "demo" / "scoring.py"]


def _without_framework() -> list[Path]:
    # Schemas are free of frameworks, but salt what they check bytes with. What reads record batches
    # takes two functions of bytes from aiokafka.
    batches = [
        *(ROOT / "streams" / "records").glob("*.py"),
        *(ROOT / "agents" / "detection").rglob("*.py"),
    ]
    return [
        path
        for path in (*sorted((ROOT / "schemas").rglob("*.py")), *_pure())
        if path not in batches
    ]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_framework_comes_with_a_pure_module() -> None:
    """All pure modules are imported in a fresh interpreter; the first that brings a framework along
    is named.
    """
    code = f"""
import importlib, sys
for name in {[_module(path) for path in _without_framework()]!r}:
    importlib.import_module(name)
    brought = [each for each in {FRAMEWORKS!r} if each in sys.modules]
    if brought:
        sys.exit(f"{{name}} brings {{', '.join(brought)}} along")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("path", _pure(), ids=_module)
def test_pure_module_neither_waits_nor_reads_a_clock(path: Path) -> None:
    """Time and randomness are arguments, and nothing is awaited: stated by the syntax, so that no
    run has to hit it.
    """
    assert list(_impurities(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from os import environ",
        "x = datetime.now(UTC)",
        "async def f():\n await g()",
    ],
)
def test_impurities_are_seen(code: str) -> None:
    """The check above can fail."""
    assert list(_impurities(ast.parse(code)))


def test_package_inits_are_empty() -> None:
    """One import in an `__init__.py` would drag what it imports into everything below it,
    unseen.
    """
    packages = ("schemas", "streams", "agents", "connectors", "topology")
    full = [
        path
        for package in packages
        for path in (ROOT / package).rglob("__init__.py")
        if path.stat().st_size
    ]
    assert full == []


def _impurities(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno} waits"
            case ast.Import(names=names) if (
                impure := {each.name.split(".")[0] for each in names} & IMPURE
            ):
                yield f"line {node.lineno} imports {impure}"
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in IMPURE:
                yield f"line {node.lineno} imports {module}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                yield f"line {node.lineno} reads a clock"
