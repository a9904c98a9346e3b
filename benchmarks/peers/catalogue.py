"""The engines: how each is started, what it reads, and how much of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.harness.showing import BenchmarkFailed

ENGINES: Final = Path(__file__).parent / "engines"
INSTALLED: Final = Path(__file__).parents[2] / ".servers" / "peers"
"""Where `make peers` puts each engine's own environment."""

SENTINEL: Final = "sentinel"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine as a process of its own, at the settings that its file explains."""

    name: str
    command: tuple[str, ...] = ()
    """{STATE} in it is a folder for its state. Empty for Sentinel, whose worker is started as in
    service.
    """
    prepare: tuple[str, ...] = ()
    """Run to its end before the first start."""
    reads_keyed: bool = False
    """Whether it reads the copy whose record keys are application and model, to save it a
    repartition topic.
    """
    writes: bool = True
    """Whether it writes closed windows; the bare client only fetches."""
    most_events: int | None = None
    """A slow engine is stopped after this many events of the same topic; None means that it reads
    all of it. Event time must have passed the first window and its grace by then, or no window has
    closed.
    """
    needs: Path | None = None
    """What `make peers` leaves when the engine is installed; None means that our own environment
    has all it takes.
    """

    def missing(self) -> str | None:
        """What is not installed, with the command that helps; None when nothing is missing."""
        if self.needs is None or self.needs.exists():
            return None
        return f"{self.name} is not installed: run `make peers`, or leave it out with --engines"

    def events(self, whole: int) -> int:
        """How many events of a topic of so many it takes."""
        return whole if self.most_events is None else min(whole, self.most_events)


def _python(name: str) -> Path:
    return INSTALLED / name / "bin" / "python"


def _installed(name: str) -> Path:
    return INSTALLED / name / ".installed"


def _script(name: str) -> str:
    return str(ENGINES / f"{name}_engine.py")


_JAVA: Final = INSTALLED / "kafka_streams"
_JVM: Final = (
    "-Xmx2g",
    "-XX:+UseParallelGC",
    "-Dorg.apache.avro.fastread=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
_RECOVERY: Final = ("-r", "{STATE}", "-s", "5", "-b", "0")
"""Of Bytewax: snapshots each five seconds, none kept back."""


def catalogue(our_python: str) -> dict[str, Engine]:
    """Every engine by name, in the order in which they run. `our_python` runs the bare client."""
    engines = (
        Engine("client", (our_python, _script("client")), writes=False),
        Engine(SENTINEL),
        Engine(
            "kafka_streams",
            ("java", *_JVM, "-cp", f"{_JAVA / 'libs'}/*:{_JAVA / 'classes'}", "Engine"),
            reads_keyed=True,
            needs=_JAVA / ".built",
        ),
        Engine(
            "quix",
            (str(_python("quix")), _script("quix")),
            reads_keyed=True,
            most_events=600_000,
            needs=_installed("quix"),
        ),
        Engine(
            "bytewax",
            (
                str(_python("bytewax")),
                "-m",
                "bytewax.run",
                f"{_script('bytewax')}:flow",
                *_RECOVERY,
            ),
            prepare=(str(_python("bytewax")), "-m", "bytewax.recovery", "{STATE}", "1"),
            most_events=400_000,
            needs=_installed("bytewax"),
        ),
        Engine(
            "faust",
            (str(_python("faust")), _script("faust")),
            most_events=360_000,
            needs=_installed("faust"),
        ),
    )
    return {engine.name: engine for engine in engines}


def chosen(names: str, our_python: str) -> list[Engine]:
    """The engines of a comma-separated list, in the catalogue's order. Raises BenchmarkFailed for
    one that is unknown or not installed.
    """
    known = catalogue(our_python)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted or (strange := [name for name in wanted if name not in known]):
        raise BenchmarkFailed(
            f"--engines takes some of {', '.join(known)}"
            + (f", not {strange[0]}" if wanted else "")
        )
    engines = [engine for name, engine in known.items() if name in wanted]
    for engine in engines:
        if why := engine.missing():
            raise BenchmarkFailed(why)
    return engines
