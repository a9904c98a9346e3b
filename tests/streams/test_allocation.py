"""What a process keeps of the memory that it freed."""

import subprocess
import sys

_FREED_BETWEEN = """
import psutil
from streams.process.allocation import give_back, settle

def mb():
    return psutil.Process().memory_info().rss / 1e6

settle()
before = mb()
blocks = [bytes(100_000) for _ in range(2_000)]
held = blocks[::100]
taken = mb() - before
del blocks
kept = mb() - before
give_back()
print(taken, kept, mb() - before)
"""


def test_what_is_free_between_what_stays_is_kept_until_it_is_given_back() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FREED_BETWEEN], capture_output=True, text=True, check=True
    )
    taken, kept, left = map(float, ran.stdout.split())

    assert taken > 180
    assert kept > 150
    assert left < 30
