"""The tails that the compiled judge computes, against sums and integrals of their definitions."""

import math

import pytest

from agents.detectors.deviation.measures import ABOVE, BELOW, ERRORS
from agents.detectors.deviation.native import score_again


def numbers(exposure: float, seen: float, usual: float, spread: float) -> dict[str, float]:
    """What a score is computed from, without looks and least change."""
    given = {"exposure": exposure, "seen": seen, "usual": usual, "spread": spread}
    return {"looks": 0.0, "freedom": 100.0, "least_effect": -100.0, **given}


def exactly(k: int, mean: float, excess: float, above: bool) -> float:
    """-log P of a negative binomial, summed term by term."""
    shape, q = 1 / excess, excess * mean / (1 + excess * mean)

    def term(at: int) -> float:
        return math.exp(
            math.lgamma(at + shape)
            - math.lgamma(shape)
            - math.lgamma(at + 1)
            + at * math.log(q)
            - shape * math.log1p(excess * mean)
        )

    span = range(k, k + 5000) if above else range(k + 1)
    return -math.log(math.fsum(term(at) for at in span))


@pytest.mark.parametrize(
    ("measure", "k", "mean", "excess"),
    [
        (ABOVE, 12, 3.0, 0.02),
        (ABOVE, 160, 100.0, 0.01),
        (ABOVE, 500, 100.0, 0.3),
        (BELOW, 0, 9.0, 0.05),
        (BELOW, 40, 100.0, 0.02),
        (ERRORS, 4, 0.2, 0.4),
        (ERRORS, 60, 20.0, 0.3),
    ],
)
def test_tail_of_a_count_is_that_of_its_law(
    measure: int, k: int, mean: float, excess: float
) -> None:
    """Within a twentieth, and never rarer than it is: the bound on what follows the first term is
    from above.
    """
    exposure, usual = (1000.0, mean / 1000) if measure == ERRORS else (1.0, mean)
    score = score_again(measure, numbers(exposure, k, usual, excess))
    exact = exactly(k, mean, excess, measure != BELOW)
    assert exact * 0.95 - 0.05 <= score <= exact + 1e-6


@pytest.mark.parametrize("z", [2.5, 4.0, 6.0])
@pytest.mark.parametrize("freedom", [8.0, 30.0, 100.0])
def test_tail_of_a_size_is_close_to_students(z: float, freedom: float) -> None:
    """Within a tenth of -log p, by integration of the density."""
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    constant -= math.log(freedom * math.pi) / 2
    step = 0.005
    tail = math.fsum(
        math.exp(constant - (freedom + 1) / 2 * math.log1p((z + at * step) ** 2 / freedom)) * step
        for at in range(20_000)
    )
    given = {**numbers(100.0, 100.0 * (1 + z), 1.0, 1.0), "freedom": freedom}
    assert score_again(0, given) == pytest.approx(-math.log(tail), rel=0.12)


def test_a_change_under_the_least_one_is_ordinary() -> None:
    """However sure it is."""
    sure = numbers(1e6, 1e6 * 1.05, 1.0, 1e-6)
    assert score_again(0, {**sure, "least_effect": 0.04}) > 100
    assert score_again(0, {**sure, "least_effect": 0.06}) < 1
