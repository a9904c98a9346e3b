"""judge.c, called through ctypes."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agents.detectors.contract import Float64s, Int64s
from agents.detectors.deviation.law import law_of
from agents.detectors.deviation.measures import MEASURES, METRICS, SIZES
from agents.detectors.deviation.state import BLOCK, REFERENCE, SPECS
from agents.detectors.settings import Deviation
from streams.state.tables import Table

INPUT: Final = np.dtype(
    [(name, "<f8", (len(SIZES),)) for name in ("n", "x", "xx")]
    + [(name, "<f8") for name in ("calls", "failures")]
)
"""One bucket of a series: of the successful calls that have a size how many, sums of their natural
logarithms and of the squares of these; all calls; failed ones.
"""

OUTPUT: Final = np.dtype(
    [
        ("score", "<f8", (len(MEASURES),)),
        ("threshold", "<f8", (len(MEASURES),)),
        ("bands", "<f8", (len(METRICS), 4)),
        ("became", "<u1", (len(MEASURES),)),
        ("open", "<u1", (len(MEASURES),)),
        ("changed", "<u1"),
        ("spare", "<u1"),
        ("padding", "<u1", (4,)),
    ]
)
"""What the judge says of it. Score and threshold of each measure; observed, expected, low and high
of each metric, sizes as logarithms; what became of each measure (`BEGUN`, `ENDED`, `ACCEPTED`), and
whether it is anomalous now; bits of the tables that changed.
"""

BEGUN, ENDED, ACCEPTED = 1, 2, 3

NUMBERS: Final = (
    "window",
    "looks",
    "exposure",
    "seen",
    "usual",
    "spread",
    "freedom",
    "effect",
    "deviation",
    "least_effect",
    "threshold",
    "scale",
    "whole",
)
"""What a finding was computed from: buckets of the window; logarithm of its looks an hour; calls or
buckets, and what was seen in them (sum of logarithms, failures, calls); what is usual; variance of
the mean logarithm, or relative excess variance; degrees of freedom; the change, its standard
deviation and the least change worth reporting; threshold of the score; scale of its Gumbel law; of
pace and price the mean logarithm of whole calls, latency or cost, NaN of others.
"""

_ABI: Final = 1
_FILE: Final = Path(__file__).with_name("judge.so")
_INT, _AT, _REAL = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class CannotJudge(Exception):
    """This installation has no compiled judge, or one of another version."""


class Judge:
    """The judge under some settings.

    Raises:
        CannotJudge: see there.
    """

    def __init__(self, settings: Deviation) -> None:
        _loaded()
        self._law = law_of(settings)

    def close(
        self,
        tables: Sequence[Table],
        rows: Int64s,
        bucket: int,
        inputs: npt.NDArray[np.void],
        rare: Float64s,
    ) -> npt.NDArray[np.void]:
        """Judges a bucket of these rows, and learns from it. `tables` in the order of
        `state.SPECS`; `inputs` of `INPUT`; `rare` as `law.rarity` gives it. An `OUTPUT` each.
        """
        out = np.empty(len(rows), OUTPUT)
        rows = np.ascontiguousarray(rows)
        _loaded().judge_close(
            _at(self._law), len(rows), _at(rows), bucket, _at(inputs), _at(rare), _ats(tables),
            _at(out),
        )  # fmt: skip
        changed = out["changed"]
        for place, table in enumerate(tables):
            table.touch(rows[(changed >> place & 1) > 0])
        return out

    def numbers(
        self, tables: Sequence[Table], row: int, bucket: int, measure: int, rare: float
    ) -> dict[str, float]:
        """What the anomaly of this measure is computed from, by `NUMBERS`."""
        out = np.empty(len(NUMBERS))
        _loaded().judge_describe(_at(self._law), row, bucket, measure, rare, _ats(tables), _at(out))
        return dict(zip(NUMBERS, out.tolist(), strict=True))


def score_again(measure: int, numbers: Mapping[str, float]) -> float:
    """The score of a measure from such numbers, natural logarithm."""
    ordered = ("looks", "exposure", "seen", "usual", "spread", "freedom", "least_effect")
    return float(_loaded().judge_score(measure, *(numbers[name] for name in ordered)))


def _at(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


def _ats(tables: Sequence[Table]) -> Any:
    return (_AT * len(tables))(*(_at(table.rows) for table in tables))


def _loaded() -> Any:
    if _LIBRARY is None:
        raise CannotJudge(
            "the compiled judge is missing: install a package that was built for this kind of"
            " machine, or build it where there is a C compiler (`make setup` in a checkout)"
        )
    return _LIBRARY


def _open() -> Any:
    try:
        library = ctypes.PyDLL(str(_FILE))
        library.judge_abi.restype = library.judge_size.restype = _INT
        library.judge_size.argtypes = (_INT,)
        if library.judge_abi() != _ABI:
            return None
    except (OSError, AttributeError):  # none, or another library
        return None
    library.judge_close.restype = library.judge_describe.restype = None
    library.judge_close.argtypes = (_AT, _INT, _AT, _INT, _AT, _AT, _AT, _AT)
    library.judge_describe.argtypes = (_AT, _INT, _INT, _INT, _REAL, _AT, _AT)
    library.judge_score.restype = _REAL
    library.judge_score.argtypes = (_INT, *[_REAL] * 7)
    dtypes = (*(SPECS[place].dtype for place in (0, 1, 2, 5)), INPUT, OUTPUT, BLOCK, REFERENCE)
    sizes = [one.itemsize for one in dtypes]
    sizes.insert(4, law_of(Deviation()).nbytes)
    assert sizes == [library.judge_size(what) for what in range(len(sizes))], "judge.c differs"
    return library


_LIBRARY: Final = _open()
