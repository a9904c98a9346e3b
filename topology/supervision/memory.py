"""Memory of processes, with shared pages counted once."""

from collections.abc import Iterable
from pathlib import Path


def shared_out_mb(pids: Iterable[int]) -> float | None:
    """Proportional set size (PSS) of these processes together, megabytes: shared pages count once.

    Processes that ended count as 0; None where the system does not report it (only Linux does).
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    return sum(_pss_kb(pid) for pid in pids) / 1024


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (OSError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
