"""How this process gets memory: fetched megabytes come and go many times a second, and should not
be given back each time.
"""

import ctypes
import gc
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

_LARGE: Final = 64 * 1024 * 1024
_KEPT: Final = 128 * 1024 * 1024


def settle() -> None:
    """To be called once, when everything is imported.

    Without it glibc maps each block above 128 kB separately, and the kernel fills it page by page:
    a third of the cost of a fetch. And Python's collector traverses all modules in each collection.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_TOP_PAD, 4 * 1024 * 1024)
        # One arena for all threads: other arenas have no trim threshold, so memory that the
        # consumer's thread frees, which receives the fetches, would be returned each time.
        libc.mallopt(_ARENA_MAX, 1)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def give_back() -> None:
    """Returns the free memory of the heap to the kernel. For the end of work that needed far more
    memory than what follows, such as a recovery: the heap would keep it, and grow with each, since
    it is fragmented. Takes milliseconds; after a gigabyte a third of a second.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
