"""`sentinel backtest --trace`: a trace through detect and correlate, against its labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import polars as pl

from agents.detection.intake.bad_records import AHEAD
from schemas.errors import BadRecord
from topology.backtesting.clocks import ahead_of_the_rest
from topology.backtesting.labels import Label
from topology.backtesting.matching import Matches, match
from topology.backtesting.replay import Installation, Replay
from topology.backtesting.trace_files import read_trace

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MOST_BAD: Final = 20
"""Bad rows that are reported one by one."""

_DAY_US: Final = 86_400_000_000
_WEEK_DAYS: Final = 7


@dataclass(slots=True)
class BadRows:
    """Rows of the trace that were set apart."""

    count: int = 0
    first: list[tuple[int, BadRecord]] = field(default_factory=list)
    """The first `MOST_BAD`, each with its number, from 1."""

    def add(self, row: int, error: BadRecord) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < MOST_BAD:
            self.first.append((row, error))


@dataclass(frozen=True, slots=True)
class Backtest:
    """What the detectors found in a trace."""

    replay: Replay
    matches: Matches
    bad: BadRows

    @property
    def application_days(self) -> float:
        """Days for which applications were watched: each from its first event to the trace's
        end.
        """
        end = self.replay.end or 0
        spans = (max(end - start, 0) for start in self.replay.applications.values())
        return sum(spans) / _DAY_US

    @property
    def false_incidents(self) -> int:
        """Incidents that match no label."""
        return sum(not is_matched for _, is_matched in self.matches.incidents)

    @property
    def false_per_week(self) -> float | None:
        """False incidents for each application and week; None where nothing was watched."""
        days = self.application_days
        return self.false_incidents / days * _WEEK_DAYS if days else None


def backtest(
    path: Path,
    labels: Sequence[Label],
    installation: Installation,
    progress: Callable[[int], None] = lambda _: None,
) -> Backtest:
    """Plays a trace. `progress` is called with the number of rows read so far. Raises TraceRefused
    for a file that cannot be read, and Refused for detectors that a lane cannot serve; a bad row
    raises nothing.
    """
    replay, bad, read = Replay(installation), BadRows(), 0
    max_ahead_us = round(installation.lanes.max_ahead_s * 1e6)
    for rows in read_trace(path, replay.reader.plain_dtypes):
        good = replay.reader.read(rows.table, rows.first)
        places = range(rows.table.height) if rows.places is None else rows.places
        frame = good.frame
        wrong = [*rows.bad, *((places[place], error) for place, error in good.bad)]
        ahead = ahead_of_the_rest(frame["event_time"].to_numpy(), max_ahead_us)
        if ahead is not None:
            frame = frame.filter(pl.Series(~ahead))
            wrong += [
                (places[place], BadRecord(AHEAD, "event_time"))
                for place in good.index[ahead].tolist()
            ]
        for place, error in sorted(wrong, key=lambda one: one[0]):
            bad.add(rows.first + place, error)
        replay.feed(frame)
        read += rows.count
        progress(read)
    replay.finish()
    return Backtest(replay, match(labels, replay.anomalies, replay.incidents), bad)


def as_json(result: Backtest) -> dict[str, Json]:
    """The whole as one JSON object; times in µs, of open incidents `resolved` is null."""
    replay = result.replay
    return {
        "labels": [
            {
                **one.label.given,
                "found": one.found_by is not None,
                "delay_s": None
                if one.found_by is None
                else (one.found_by.event_time - one.label.start) / 1e6,
                "metric": None if one.found_by is None else one.found_by.metric,
                "severity": None
                if one.found_by is None
                else (one.found_by if one.incident is None else one.incident.last).severity.value,
            }
            for one in result.matches.labels
        ],
        "incidents": [
            {
                "tenant": one.last.tenant,
                "application": one.last.application,
                "severity": one.last.severity.value,
                "opened": one.last.opened_at,
                "resolved": one.last.resolved_at,
                "metrics": list(one.last.metrics),
                "title": one.last.title,
                "matched": is_matched,
            }
            for one, is_matched in result.matches.incidents
        ],
        "anomalies": len(replay.anomalies),
        "application_days": result.application_days,
        "false_incidents_per_application_week": result.false_per_week,
        "applications": len(replay.applications),
        "events": replay.events,
        "late_events": replay.late,
        "bad_rows": result.bad.count,
        "first_bad_rows": [
            {"row": row, "field": error.field, "reason": reason_of(error)}
            for row, error in result.bad.first
        ],
        "settings_version": replay.settings_version,
    }


def reason_of(error: BadRecord) -> str:
    """What is wrong with a row, in words."""
    return str(error.reason) if error.detail is None else f"{error.reason}: {error.detail}"
