"""The machine that a benchmark ran on, in a line."""

import os
import platform
from pathlib import Path

import psutil


def machine() -> str:
    """Processor, cores that this process may use, memory, kernel, Python, and how busy the machine
    was with other things.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = psutil.virtual_memory().total / 1e9
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {cores} cores, {memory_gb:.0f} GB, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}, load {load:.1f} at the start"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine() or "unknown processor")
