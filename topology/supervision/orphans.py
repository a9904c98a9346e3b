"""A process that a supervisor started does not outlive it, also when the supervisor is killed."""

import ctypes
import os
import signal
import sys
from typing import Final

PARENT: Final = "SENTINEL_PARENT"
"""Environment variable in which a supervisor hands its process id to its children."""

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM at the death of the parent, if a supervisor started us. Only Linux
    can; elsewhere this does nothing.
    """
    parent = os.environ.get(PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        # It died before we asked.
        raise SystemExit(0)
