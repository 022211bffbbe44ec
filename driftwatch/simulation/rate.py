"""Rate: the share of runs in which something happened, with an exact interval."""

import math
from dataclasses import dataclass

import numpy as np

from driftwatch.drift.interval import LEVEL


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of independent runs.

    Attributes:
        hits: Number of runs in which it happened.
        runs: Number of all runs, at least 1.
    """

    hits: int
    runs: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.hits / self.runs

    @property
    def lower(self) -> float:
        """Lower end of the two-sided 95 % interval of Clopper and Pearson (1934), which is exact, so a little too wide.

        >>> round(Rate(5, 10).lower, 4)
        0.1871
        """
        if self.hits == 0:
            return 0.0
        return 1 - Rate(self.runs - self.hits, self.runs).upper

    @property
    def upper(self) -> float:
        """Upper end of the same interval.

        >>> round(Rate(0, 6000).upper, 6)
        0.000615
        """
        if self.hits == self.runs:
            return 1.0
        low, high = self.value, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._at_most_hits(middle) > (1 - LEVEL) / 2 else (low, middle)
        return high

    def _at_most_hits(self, share: float) -> float:
        """P(no more than `hits` of `runs`) at a true share strictly between 0 and 1."""
        i = np.arange(1, self.hits + 1)
        log_choose = np.concatenate([[0.0], np.cumsum(np.log(self.runs - i + 1) - np.log(i))])
        k = np.arange(self.hits + 1)
        return float(np.exp(log_choose + k * math.log(share) + (self.runs - k) * math.log1p(-share)).sum())
