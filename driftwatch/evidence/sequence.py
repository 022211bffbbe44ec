"""Sequence: intervals of a shift that hold at all looks of a run at once.

A run shows an interval for every topic and kind at every look. If each of them were right with probability 0.95 by
itself, one of so many would exclude 0 in nearly every run in which nothing moves. So the 5 % are shared out: over the
looks, like the start weights of the evidence, and over all topics and kinds that a look shows. A part that is shared
out once is spent. The sum over all looks, topics and kinds is 1 − `LEVEL` at most, however many looks a run has.

The intervals themselves are bets (`bounded`) on the draws of the recent looks. These are independent draws from the
bank whose mean is shown; if the model moved during these looks, it is the mean over them.

Shape letters: P pairs of outcomes, N draws, F figures.
"""

import math

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.bounded import EVEN_C, mean_bounds
from driftwatch.drift.interval import LEVEL, Interval
from driftwatch.drift.outcome import NUM_PAIRS
from driftwatch.evidence.betting import SLOW_WEIGHT_SUM
from driftwatch.evidence.state import Evidence

Floats = NDArray[np.float64]

SHOWN_BY_TOPIC = 4  # direction, neutral and the shares of both sides; one more shows the readability of all topics
MIN_DRAWS = 8  # with fewer, an interval excludes hardly anything


def share_of(look: int, planned: int | None) -> float:
    """The part of the 5 % that one look may spend, in [0, 1]; the parts of all possible looks sum to at most 1.

    Args:
        look: Number of the look, from 1.
        planned: Number of looks planned when the run began; `None` if unknown.
    """
    late = 1 / (SLOW_WEIGHT_SUM * (look + 1) * math.log(look + 1) ** 2)
    # A tenth is kept for looks that nobody planned.
    return late if planned is None else 0.9 / planned if look <= planned else 0.1 * late


def tail_of(state: Evidence) -> float:
    """The probability that one end of one interval of the latest look is wrong."""
    num_shown = SHOWN_BY_TOPIC * len(state.settings.names) + 1
    return (1 - LEVEL) / 2 * share_of(max(state.look, 1), state.settings.planned_looks) / num_shown


def intervals(values_PF: Floats, pairs_N: NDArray[np.int64], tail: float) -> list[Interval | None]:
    """Intervals for the mean of each figure over the bank from which the draws were made.

    Args:
        values_PF: What each pair of outcomes counts, in [−1, 1].
        pairs_N: Pair code of each draw.
        tail: Probability that one end is wrong.

    Returns:
        One interval per figure, labelled with the level 0.95 that all intervals share; `None` with fewer than 8 draws.
    """
    if len(pairs_N) < MIN_DRAWS:
        return [None] * values_PF.shape[1]
    counts_P = np.bincount(pairs_N, minlength=NUM_PAIRS).astype(float)
    seen_P = counts_P > 0
    lower_F, upper_F = mean_bounds(values_PF[seen_P], tail, weights_C=EVEN_C, counts_N=counts_P[seen_P])
    return [Interval(float(low), float(high)) for low, high in zip(lower_F, upper_F, strict=True)]
