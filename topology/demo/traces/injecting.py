"""Puts faults into a load: each touches the requests in its window and no others."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from topology.demo.traces.applications import SERIES, USERS_PER_APPLICATION, user_id
from topology.demo.traces.faults import Fault, FaultKind
from topology.demo.traces.load import Load, drawn

Rows: TypeAlias = npt.NDArray[np.bool_]

ATTACK_TOKENS: Final = (12_000, 14_000)
"""Least and most tokens of an attacker's prompt, which asks for an answer of 50 tokens."""

MOST_TRIES: Final = 5
"""How often a caller tries in a retry storm, the first time included; the last try is as lucky as
any request.
"""

BETWEEN_TRIES_US: Final = 400_000
"""Time from one try to the next in a retry storm, µs: there is no backoff, which is the fault."""


def injected(load: Load, faults: Sequence[Fault], seed: int) -> Load:
    """The load with the faults in it, in order of arrival. `load` itself stays as it is.

    Each fault has a random stream of its own, from the seed and its name, so one fault more or less
    changes no other.
    """
    load = load.copy()
    for fault in faults:
        rng = np.random.default_rng([seed, *fault.name.encode()])
        load = _INJECTORS[fault.kind](load, rows_of(load, fault), fault, rng)
    return load[np.argsort(load["offset_us"], kind="stable")]


def rows_of(load: Load, fault: Fault) -> Rows:
    """The requests that arrive in the fault's window and are the application's and, where it names
    one, the model's.
    """
    series = [
        number
        for number, one in enumerate(SERIES)
        if one.application == fault.application and fault.model in (None, one.model.name)
    ]
    at = load["offset_us"]
    inside = (at >= fault.start_s * 1_000_000) & (at < fault.end_s * 1_000_000)
    return np.asarray(inside & np.isin(load["series"], series))


def _latency_step(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    load["first_token_factor"][rows] *= fault.magnitude
    load["output_token_factor"][rows] *= fault.magnitude
    return load


def _first_token_drift(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    gone = (load["offset_us"][rows] / 1e6 - fault.start_s) / (fault.end_s - fault.start_s)
    load["first_token_factor"][rows] *= 1 + (fault.magnitude - 1) * gone
    return load


def _error_burst(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    load["error_share"][rows] = fault.magnitude
    return load


def _prompt_attack(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    count = round((fault.end_s - fault.start_s) / fault.magnitude)
    extra = drawn(count, rng, float(load["error_share"].min(initial=0.0)))
    at = fault.start_s + (np.arange(count) + rng.random(count)) * fault.magnitude
    extra["offset_us"] = (at * 1e6).astype(np.int64)
    extra["series"] = next(
        n
        for n, one in enumerate(SERIES)
        if (one.application, one.model.name) == (fault.application, fault.model)
    )
    extra["user"] = next(
        r for r in range(USERS_PER_APPLICATION) if user_id(fault.application, r) == fault.user
    )
    extra["prompt_tokens"] = rng.integers(*ATTACK_TOKENS, count, endpoint=True)
    extra["completion_tokens"] = 50
    return np.concatenate([load, extra])


def _cost_runaway(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    load["completion_tokens"][rows] = (load["completion_tokens"][rows] * fault.magnitude).astype(
        np.int64
    )
    return load


def _silence(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    lost = np.zeros(load.size, np.bool_)
    lost[rows] = rng.random(int(rows.sum())) < fault.magnitude
    return load[~lost]


def _retry_storm(load: Load, rows: Rows, fault: Fault, rng: np.random.Generator) -> Load:
    """A request becomes its last try, later and with its retries counted, and one refused try for
    each before it.
    """
    asked = load[rows]
    failures = np.minimum(rng.geometric(1 - fault.magnitude, asked.size) - 1, MOST_TRIES - 1)
    first = np.repeat(np.arange(asked.size), failures)
    tries = drawn(first.size, rng, 1.0)
    nth = np.arange(first.size) - np.repeat(np.cumsum(failures) - failures, failures)
    for same in ("series", "user", "prompt_tokens", "completion_tokens"):
        tries[same] = asked[same][first]
    tries["offset_us"] = asked["offset_us"][first] + nth * BETWEEN_TRIES_US
    tries["retries"] = nth
    tries["refused"] = True
    load["retries"][rows] = failures
    load["offset_us"][rows] += failures * BETWEEN_TRIES_US
    return np.concatenate([load, tries])


_INJECTORS: Final[Mapping[FaultKind, Callable[[Load, Rows, Fault, np.random.Generator], Load]]] = (
    MappingProxyType(
        {
            FaultKind.LATENCY_STEP: _latency_step,
            FaultKind.FIRST_TOKEN_DRIFT: _first_token_drift,
            FaultKind.ERROR_BURST: _error_burst,
            FaultKind.PROMPT_ATTACK: _prompt_attack,
            FaultKind.COST_RUNAWAY: _cost_runaway,
            FaultKind.SILENCE: _silence,
            FaultKind.RETRY_STORM: _retry_storm,
        }
    )
)
