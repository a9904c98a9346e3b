"""Labels of a trace: faults that are known to be in it, and where each would show.

A line of the file is a JSON object: `application`, `model` and `user` where the fault is about one
of them alone, `kind` in words, and `start` and `end` in µs of event time. By the words of its kind
a fault shows in some metrics and on one side of what was expected; a kind without such words in any
metric, on either side.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from schemas.errors import UserError
from schemas.records.anomalies import Direction

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_REQUIRED: Final = ("application", "kind")
_TEXTS: Final = (*_REQUIRED, "model", "user", "tenant")

_LATENCY: Final = frozenset(("latency", "time_to_first_token", "time_per_output_token", "queue"))
_ERRORS: Final = frozenset(("error", "fail", "status", "timeout", "retr"))
_REQUESTS: Final = frozenset(("request",))
_SIZE: Final = frozenset(("token", "cost"))

_SHOWS: Final = (
    (r"first.?token|ttft|latenc|slow|queue|per output token|response time|duration", _LATENCY),
    (r"error|fail|outage|5xx|4xx|timeout|retry|retries|refus", _ERRORS),
    (r"traffic|request|volume|\brate\b|silen|surge|storm|no data|gone", _REQUESTS),
    (r"cost|spend|price|run.?away", _SIZE),
    (r"(?<!first.)(?<!output.)token|prompt|completion|context", _SIZE),
)
"""Words of a kind, and parts of the names of the metrics in which it shows: each that matches."""

_BELOW: Final = re.compile(
    r"(?:^|[\s_(])[-−–]\s?\d|x\s?0?\.\d|\b0\.\d+\s?x"
    r"|drop|f[ae]ll|less|fewer|below|lower|silen|no data|gone|stop"
)
_ABOVE: Final = re.compile(
    r"\+\s?\d|[x×]\s?[1-9]|[1-9]\s?[x×]"
    r"|above|more|higher|rise|surge|storm|burst|spike|slow|drift to"
)
_SIDED: Final = _LATENCY | _ERRORS | _SIZE
"""What is worse above, where the kind does not say."""


class LabelsRefused(UserError):
    """A file of labels that cannot be used: a line for each wrong line."""


@dataclass(frozen=True, slots=True)
class Label:
    """One fault. Times are event time, µs."""

    given: Mapping[str, Json]
    """As the file has it."""
    application: str
    model: str | None
    user: str | None
    tenant: str | None
    start: int
    end: int
    shows: frozenset[str] | None
    """Parts of the names of metrics; None for any metric."""
    side: Direction | None
    """None for both."""

    def is_about(self, tenant: str, application: str, model: str | None, user: str | None) -> bool:
        """Whether a subject is the fault's. One that names no model (or user) stands for all of its
        application's.
        """
        return (
            application == self.application
            and (self.tenant is None or tenant == self.tenant)
            and (self.model is None or model is None or model == self.model)
            and (self.user is None or user is None or user == self.user)
        )

    def shows_in(self, metric: str, direction: Direction) -> bool:
        """Whether the fault can show in this metric, on this side."""
        is_shown = self.shows is None or any(part in metric.lower() for part in self.shows)
        return is_shown and self.side in (None, direction)


def read_labels(path: Path) -> list[Label]:
    """The labels, in the order of the file. Raises LabelsRefused."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise LabelsRefused(f"{path}: {error.strerror or error}") from None
    labels: list[Label] = []
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            labels.append(label_of(orjson.loads(line)))
        except orjson.JSONDecodeError as error:
            wrong.append(f"{path}:{number}: not JSON: {error.msg}")
        except ValueError as error:
            wrong.append(f"{path}:{number}: {error}")
    if wrong:
        raise LabelsRefused("\n".join(wrong[:20]))
    return labels


def label_of(given: Json) -> Label:
    """The label that a line gives. Raises ValueError, which says what to change."""
    if not isinstance(given, dict):
        raise ValueError(
            'a label is an object like {"application": "shop", "kind": "latency x2",'
            ' "start": 1767225600000000, "end": 1767226800000000}'
        )
    texts = {name: _text(name, given.get(name)) for name in _TEXTS}
    times = [given.get("start"), given.get("end")]
    start, end = (_moment(name, at) for name, at in zip(("start", "end"), times, strict=True))
    if end < start:
        raise ValueError("end is before start")
    shows, side = where_it_shows(str(texts["kind"]))
    return Label(
        given=given,
        application=str(texts["application"]),
        model=texts["model"],
        user=texts["user"],
        tenant=texts["tenant"],
        start=start,
        end=end,
        shows=_whose(shows, texts["user"] is not None),
        side=side,
    )


def where_it_shows(kind: str) -> tuple[frozenset[str] | None, Direction | None]:
    """Parts of the names of metrics, and the side; None for any.

    >>> where_it_shows("traffic -30 %")
    (frozenset({'request'}), <Direction.BELOW: 'below'>)
    >>> where_it_shows("something odd")
    (None, None)
    """
    text = kind.lower()
    parts = list(_parts(text))
    shows = frozenset().union(*parts) if parts else None
    below, above = _BELOW.search(text), _ABOVE.search(text)
    if bool(below) != bool(above):
        return shows, Direction.BELOW if below else Direction.ABOVE
    return shows, Direction.ABOVE if shows is not None and shows <= _SIDED else None


def _parts(text: str) -> Iterator[frozenset[str]]:
    for words, shows in _SHOWS:
        # The rate of errors is no rate of requests.
        if re.search(words, text) and not (shows is _REQUESTS and re.search("error", text)):
            yield shows


def _whose(shows: frozenset[str] | None, is_of_user: bool) -> frozenset[str] | None:
    """A user who sends more calls also takes more tokens, and costs more."""
    return shows | _SIZE if shows is not None and is_of_user and shows >= _REQUESTS else shows


def _text(name: str, text: Json) -> str | None:
    if isinstance(text, str) or (text is None and name not in _REQUIRED):
        return text
    raise ValueError(f"{name} must be a text")


def _moment(name: str, at: Json) -> int:
    if isinstance(at, bool) or not isinstance(at, int | float) or at != at or abs(at) > 1 << 62:
        raise ValueError(f"{name} must be a time in µs since 1970")
    return round(at)
