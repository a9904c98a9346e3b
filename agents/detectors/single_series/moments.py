"""Running mean and variance, with a bounded memory."""


class Moments:
    """Mean and variance of the samples so far: of all up to `memory` samples, with exponential
    forgetting from then on, so that a level of long ago counts for little.

    >>> moments = Moments(memory=100)
    >>> for sample in (1.0, 3.0):
    ...     moments.add(sample)
    >>> moments.count, moments.mean, moments.variance
    (2, 2.0, 1.0)
    """

    __slots__ = ("_memory", "count", "mean", "variance")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    def add(self, sample: float) -> None:
        """Learn one sample."""
        if self.count < self._memory:
            self.count += 1
        rate = 1.0 / self.count
        distance = sample - self.mean
        self.mean += rate * distance
        self.variance = (1.0 - rate) * (self.variance + rate * distance * distance)
