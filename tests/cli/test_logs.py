"""Log lines are of bounded length, and say what is wrong all the same."""

from topology.logs import MOST_BYTES, shortened


def test_of_a_long_traceback_the_last_line_is_kept() -> None:
    """It is what the rest is about."""
    text = (
        "Traceback (most recent call last):\n"
        + '  File "x.py", line 1, in y\n' * 500
        + "ValueError: what is wrong\n"
    )
    short = shortened(text)
    assert short.startswith("Traceback")
    assert short.splitlines()[-1] == "ValueError: what is wrong"
    assert len(short) <= MOST_BYTES + 2


def test_a_long_line_is_cut() -> None:
    """Also the last one of many."""
    assert shortened("x" * 9_000) == "x" * MOST_BYTES + "…"
    assert len(shortened("x\n" * 2_000 + "y" * 9_000)) <= MOST_BYTES + 2
