"""Ends a process with the supervisor that started it, also when the supervisor is killed."""

import ctypes
import os
import signal
import sys
from typing import Final

PARENT: Final = "SENTINEL_PARENT"
"""Environment variable with the process id of the supervisor."""

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Ask the operating system for SIGTERM when the supervisor that started this process dies.

    Only Linux can; elsewhere this does nothing.
    """
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        # The supervisor died before the request.
        raise SystemExit(0)
