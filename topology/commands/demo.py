"""`sentinel demo`: an hour of real traffic through everything, and what was found in it."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer


def announce(words: Sequence[str]) -> None:
    """The first line, before the options are parsed: that imports for half a second, on a busy
    machine for several, and what follows for longer.
    """
    if words[:1] == ["demo"] and "--help" not in words:
        sys.stderr.write(
            "starting a broker, a process for each stage, a store and the page on this machine\n"
        )


def demo(
    speed: Annotated[
        float, typer.Option(min=0.0, help="Times real time; 0 is as fast as the broker takes it.")
    ] = 60.0,
    exit_when_done: Annotated[
        bool,
        typer.Option(
            "--exit-when-done", help="End after the result, instead of running on until Ctrl-C."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help=(
                "Print the result as one JSON object on standard output; progress goes to standard"
                " error."
            ),
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of what the recording lacks: same seed, same hour.")
    ] = 1,
    no_open: Annotated[
        bool,
        typer.Option(
            "--no-open",
            help="Open no browser. Without a terminal or a display none is opened anyway.",
        ),
    ] = False,
    kafka: Annotated[
        str | None,
        typer.Option(
            help="host:port of a real Kafka to play through, in plain text. Default: embedded."
        ),
    ] = None,
) -> None:
    """Play an hour of real LLM traffic with seven known faults through all stages, on this machine
    alone, and print which were found.

    Meanwhile the page shows what is found; its address is printed first, and holds the token that
    it asks for.

    With --exit-when-done the status is 0 only if all faults were found, with at most three false
    alarms.

    Examples: sentinel demo        sentinel demo --exit-when-done --json
    """
    # Before polars is imported anywhere: this process only makes the events.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import asyncio

    from topology.demo.running import Interrupted, Outcome, Plan, run
    from topology.demo.screen import Screen, print_json

    outcomes: list[Outcome] = []
    wanted = not no_open and not as_json and sys.stderr.isatty()
    with Screen(open_page=_open if wanted else _ignore) as screen:

        def show(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if as_json:
                print_json(outcome.report)
            else:
                screen.result(outcome.scores, outcome.report)
            if not exit_when_done:
                screen.note("everything runs on, the page too; Ctrl-C ends it")

        try:
            asyncio.run(
                run(Plan(speed or None, seed, kafka), screen, show, stay=not exit_when_done)
            )
        except Interrupted:
            raise typer.Exit(130) from None
    if exit_when_done and not all(outcome.scores.are_good for outcome in outcomes):
        raise typer.Exit(1)


def _open(link: str) -> None:
    """Opens it in a browser with a window of its own: a browser in text would take the terminal.
    Nobody waits for it.
    """
    import threading
    import webbrowser

    if sys.platform == "darwin" or {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        threading.Thread(target=webbrowser.open, args=(link,), daemon=True).start()


def _ignore(link: str) -> None:
    """Opens nothing."""
