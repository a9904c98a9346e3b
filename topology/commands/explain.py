"""`sentinel explain`: why an anomaly was raised, with its evidence."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import UserError
from topology.commands.options import Config, plain, settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.records.anomalies import Anomaly


def explain(
    anomaly_id: Annotated[
        str,
        typer.Argument(
            help="Id of the anomaly, as a message or an incident names it.", show_default=False
        ),
    ],
    config: Config = None,
) -> None:
    """Print an anomaly: how its failed calls failed, some of its events and traces, and the
    evidence from which its score can be computed again.

    Example: sentinel explain 5f0c1d6c0e4b4d1b9a7f3f7f2f7a1c55
    """
    from schemas.errors import BadRecord
    from schemas.records.anomalies import Anomaly
    from streams.client.brokers import reach
    from streams.topic_names import TopicNames
    from topology.control.reading import whole

    broker = settings_from(config).broker
    reach(broker)
    topic = TopicNames(broker.topic_prefix).anomalies
    wanted = anomaly_id.encode()
    for record in whole(broker, [topic]):
        # Looking for the bytes first saves decoding everything else.
        if record.value is None or wanted not in record.value:
            continue
        try:
            anomaly = Anomaly.from_bytes(record.value)
        except BadRecord:
            continue
        if anomaly.id == anomaly_id:
            typer.echo("\n".join(plain(line) for line in lines_of(anomaly)))
            return
    raise UserError(
        f"no anomaly {anomaly_id} in {topic}; they are kept for 90 days unless the topic says"
        " otherwise"
    )


def lines_of(anomaly: "Anomaly") -> "Iterator[str]":
    """An anomaly for a person to read, line by line."""
    subject = [
        anomaly.tenant,
        anomaly.application,
        anomaly.model,
        anomaly.user and f"user {anomaly.user}",
    ]
    expected = "" if anomaly.expected is None else f", expected {anomaly.expected:g}"
    yield f"anomaly    {anomaly.id}"
    yield f"subject    {' / '.join(part for part in subject if part)}"
    yield (
        f"metric     {anomaly.metric}: observed {anomaly.observed:g}{expected}"
        f" ({anomaly.direction.value})"
    )
    yield f"reason     {anomaly.reason}"
    yield (
        f"severity   {anomaly.severity.value}, score {anomaly.score:g}, confidence"
        f" {anomaly.confidence:.0%}"
    )
    yield f"window     {_at(anomaly.window_start)} to {_at(anomaly.window_end)}"
    rule = f", rule {anomaly.rule}" if anomaly.rule else ""
    yield (
        f"detector   {anomaly.detector} version {anomaly.detector_version}{rule}, settings"
        f" {anomaly.settings_version}"
    )
    yield f"record     lane {anomaly.lane}, offset {anomaly.offset}, ordinal {anomaly.ordinal}"
    if anomaly.sample_event_ids:
        yield f"events     {', '.join(anomaly.sample_event_ids)}"
    if anomaly.sample_trace_ids:
        yield f"traces     {', '.join(anomaly.sample_trace_ids)}"
    if anomaly.breakdown:
        yield "breakdown"
        yield from _table(
            [(f"{part.name} {part.value}", str(part.count)) for part in anomaly.breakdown]
        )
    yield "evidence"
    yield from _table([(evidence.name, f"{evidence.value:.12g}") for evidence in anomaly.evidence])


def _table(rows: "Sequence[tuple[str, str]]") -> "Iterator[str]":
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        yield f"  {name:<{width}}  {value}"


def _at(microseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        # Out of the range of datetime.
        return f"{microseconds} µs"
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
