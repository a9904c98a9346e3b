"""`sentinel produce`: telemetry to try things with, from a recorded hour or on a schedule."""

from typing import TYPE_CHECKING, Annotated

import typer

from topology.commands.options import Config, settings_from

if TYPE_CHECKING:
    from topology.demo.traces.playing import Progress


def produce(
    config: Config = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Events per second, each sent at its moment on a fixed schedule, in real time.",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.001, help="With --rate: for how long.")] = 60.0,
    speed: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Of the recorded hour: times real time; 0 is as fast as the broker takes it.",
        ),
    ] = 60.0,
    seed: Annotated[int, typer.Option(help="Same seed, same events.")] = 1,
) -> None:
    """Send telemetry: the recorded hour with its labelled faults, or, with --rate, everyday traffic
    at a rate.

    Examples: sentinel produce --speed 60        sentinel produce --rate 1000 --seconds 30
    """
    from confluent_kafka import Producer

    from streams.client.brokers import reach
    from streams.topic_names import TopicNames
    from topology.demo.traces.outbox import load_config
    from topology.demo.traces.playing import play, send_at_rate

    broker = settings_from(config).broker
    reach(broker)
    producer = Producer({**load_config(broker), "log_level": 0})
    topic = TopicNames(broker.topic_prefix).telemetry
    if rate is not None:
        with _Bar(round(rate * seconds)) as progress:
            played = send_at_rate(producer, topic, rate, seconds, seed=seed, progress=progress)
        behind = f"; at most {played.worst_lag_s * 1000:.0f} ms behind its schedule"
    else:
        import time

        from topology.demo.traces.scenario import DURATION_S, events

        # The hour has just ended, so that no event is ahead of its arrival at any speed.
        hour = events(seed, time.time_ns() // 1000 - (DURATION_S + 120) * 1_000_000)
        with _Bar(len(hour)) as progress:
            played = play(producer, topic, hour, speed or None, progress)
        behind = ""
    typer.echo(
        f"{played.events:,} events to {topic} in {played.wall_s:.1f} s "
        f"({played.events / played.wall_s:,.0f}/s, {played.cpu_s:.1f} s of CPU){behind}"
    )


class _Bar:
    """A progress bar on standard error, as a Progress of the players."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("sending", total=total)

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self._advance

    def __exit__(self, *args: object) -> None:
        self._bar.stop()

    def _advance(self, sent: int, event_time: int) -> None:
        self._bar.update(self._task, completed=sent)
