"""An hour of telemetry: the recorded load, the stated model of what it lacks, and the faults.

Everything random comes from the seed. The same seed, start and faults give the same events, to the
byte, with the same versions of this package and of numpy; what is drawn as float ends in whole
microseconds, tokens and nano-units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from schemas.records.telemetry import Status, TelemetryEvent
from topology.demo.traces import applications
from topology.demo.traces.applications import SERIES, TENANT, Model, user_id
from topology.demo.traces.faults import FAULTS, Fault
from topology.demo.traces.injecting import injected
from topology.demo.traces.load import Load, recorded

DURATION_S: Final = 3_514
"""Length of the hour, seconds: from the first arrival of the traces to a moment after the last, 59
minutes on.
"""

QUEUE_SHARE: Final = 0.1
"""Share of the time to first token that a request waits in the model server's queue."""

Numbers: TypeAlias = npt.NDArray[np.int64]


def events(seed: int, start: int, faults: Sequence[Fault] = FAULTS) -> list[TelemetryEvent]:
    """The hour's events in the order in which the calls end, which is their event time; `start` is
    the moment (event time, µs) to which the first arrival is put. Calls that are under way at the
    end of the hour end up to a minute after it.

    With the same seed, requests that no fault touches are the same whatever the faults.
    """
    load = injected(recorded(np.random.default_rng(seed), applications.ERROR_SHARE), faults, seed)
    course = _course(load)
    order = np.argsort(load["offset_us"] + course.latency_us, kind="stable")
    return list(_told(load[order], course.in_order(order), start))


@dataclass(frozen=True, slots=True)
class _Course:
    """How each request went: columns over a load. Times in µs."""

    status: npt.NDArray[np.int8]
    """Row of _STATUS."""
    first_token_us: Numbers
    output_token_us: Numbers
    latency_us: Numbers

    def in_order(self, order: npt.NDArray[np.intp]) -> "_Course":
        return _Course(
            self.status[order],
            self.first_token_us[order],
            self.output_token_us[order],
            self.latency_us[order],
        )


_STATUS: Final = (Status.SUCCESS, Status.ERROR, Status.TIMEOUT)
_SUCCESS, _ERROR, _TIMEOUT = range(3)


def _course(load: Load) -> _Course:
    """The stated model, applied: speed by tokens, noise and faults; failure by luck.

    A call that fails takes 30 to 330 ms, a refused one (HTTP 429) 10 to 40 ms.
    """
    models = [series.model for series in SERIES]
    row = load["series"]
    first = (
        np.array([m.first_token_us for m in models])[row]
        + load["prompt_tokens"] * np.array([m.prompt_token_us for m in models])[row]
    )
    first = (
        first
        * load["first_token_factor"]
        * np.exp(applications.FIRST_TOKEN_SPREAD * load["first_token_noise"])
    )
    each = np.array([m.output_token_us for m in models])[row] * load["output_token_factor"]
    each = each * np.exp(applications.OUTPUT_TOKEN_SPREAD * load["output_token_noise"])
    whole = first + each * load["completion_tokens"]
    failed = (load["luck"] < load["error_share"]) | load["refused"]
    late = ~failed & (
        (load["luck"] > 1 - applications.TIMEOUT_SHARE) | (whole > applications.TIMEOUT_US)
    )
    whole[late] = applications.TIMEOUT_US
    whole[failed] = 30_000 + 300_000 * load["chance"][failed]
    whole[load["refused"]] = 10_000 + 30_000 * load["chance"][load["refused"]]
    return _Course(
        status=np.where(failed, _ERROR, np.where(late, _TIMEOUT, _SUCCESS)).astype(np.int8),
        first_token_us=np.rint(first).astype(np.int64),
        output_token_us=np.rint(each).astype(np.int64),
        latency_us=np.rint(whole).astype(np.int64),
    )


def _told(load: Load, course: _Course, start: int) -> Iterator[TelemetryEvent]:
    """The events, one for each request."""
    columns = (course.status, course.first_token_us, course.output_token_us, course.latency_us)
    for request, status, first, each, whole in zip(
        load, *(column.tolist() for column in columns), strict=True
    ):
        series = SERIES[request["series"]]
        name = request["name"].tobytes()
        at = int(request["offset_us"])
        user = user_id(series.application, int(request["user"]))
        answered = status == _SUCCESS
        yield TelemetryEvent(
            event_id=name.hex(),
            event_time=start + at + whole,
            tenant=TENANT,
            application=series.application,
            model=series.model.name,
            operation=series.operation,
            status=_STATUS[status],
            latency_us=whole,
            time_to_first_token_us=first if answered else None,
            **_tokens(request, series.model, answered),
            currency="USD",
            user=user,
            session=_session(user, at),
            provider=series.model.provider,
            model_version=series.model.version,
            time_per_output_token_us=each if answered else None,
            queue_time_us=round(first * QUEUE_SHARE) if answered else None,
            **_outcome(request, status),
            retries=int(request["retries"]),
            service=f"{series.application}-api",
            environment="production",
            region=series.region,
            instance=f"{series.application}-{name[0] % 3}",
            trace_id=_digest(name, b"trace", 16),
            span_id=_digest(name, b"span", 8),
            prompt_hash=_digest(name, b"prompt", 16),
            response_hash=_digest(name, b"response", 16) if answered else None,
        )


class _Tokens(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_nano: int


def _tokens(request: np.void, model: Model, answered: bool) -> _Tokens:
    """What was read, written and paid; nothing is paid for a call without an answer."""
    prompt, completion = int(request["prompt_tokens"]), int(request["completion_tokens"])
    if not answered:
        return {"prompt_tokens": prompt, "completion_tokens": 0, "cached_tokens": 0, "cost_nano": 0}
    cached = prompt // 2 if request["chance"] < applications.CACHED_SHARE else 0
    cost = (
        prompt * model.prompt_nano
        - cached * model.prompt_nano // 2
        + completion * model.completion_nano
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cached_tokens": cached,
        "cost_nano": cost,
    }


class _Outcome(TypedDict):
    error_type: str | None
    http_status: int | None
    finish_reason: str | None


def _outcome(request: np.void, status: int) -> _Outcome:
    if status == _SUCCESS:
        reason = "length" if request["chance"] > 0.98 else "stop"
        return {"error_type": None, "http_status": 200, "finish_reason": reason}
    if status == _TIMEOUT:
        return {"error_type": "timeout", "http_status": None, "finish_reason": None}
    if request["refused"]:
        return {"error_type": "rate_limit", "http_status": 429, "finish_reason": None}
    if request["chance"] < 0.5:
        return {"error_type": "server_error", "http_status": 500, "finish_reason": None}
    return {"error_type": "overloaded", "http_status": 503, "finish_reason": None}


def _session(user: str, at: int) -> str:
    """Sessions follow each other without a gap, each user's shifted by what its pseudonym says."""
    shift = int(user[-4:], 16) / 0x10000 * applications.SESSION_US
    return "s-" + _digest(user.encode(), b"%d" % ((at + shift) // applications.SESSION_US), 6)


def _digest(name: bytes, what: bytes, size: int) -> str:
    return blake2b(name, digest_size=size, person=what).hexdigest()
