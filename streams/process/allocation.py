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

    Without it glibc maps each block above 128 kB anew and the kernel fills it page by page, a third
    of the cost of a fetch; and Python's collector walks again and again over modules that stay.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
        libc.mallopt(_TOP_PAD, 4 * 1024 * 1024)
        # Heaps of other threads know no threshold: what they free goes back at once, and the
        # consumer's thread is where fetches are received.
        libc.mallopt(_ARENA_MAX, 1)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def give_back() -> None:
    """Gives what is free in the heap back to the kernel: after work that took far more than what
    comes next, as a recovery does. The heap would keep it, and grow by a little with each, since
    what stays lies in between. Takes milliseconds; after a gigabyte a third of a second.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
