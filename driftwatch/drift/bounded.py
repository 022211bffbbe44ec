"""Bounded: which values a mean can have, where we know of the figures only that they lie between two ends.

Take figures y in [0, 1] and a supposed mean m. A bettor who believes that the true mean is lower stakes a share c of
the capital on every figure, at odds that are fair if the mean is m:

    K(m) = Σ_c w_c ∏ ( 1 − c + c (1 − y) / (1 − m) ),   c in (0, 1], Σ w_c = 1

If the mean is m or more, E[K] ≤ 1, so P(K ≥ 1/α) ≤ α (Markov), whatever the distribution and however few the figures.
K grows with m. The m at which K reaches 1/α is an upper end, which the mean exceeds with probability α at most; the
lower end comes from 1 − y in the same way.

A t interval or a bootstrap takes the spread from the same figures. Where only a few figures carry the change, a sample
that misses them has both a small mean and a small spread, and its interval is wrong far too often.

Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1), section
4, with constant bets. The stakes are our choice: it is best to stake everything at once where the spread is small
compared with the distance from m, as it is on most topics; docs/statistics.md shows what other stakes would resolve.

Shape letters: N figures, F columns, C stakes.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STAKES_C = np.array([1.0, 0.5, 0.25, 0.1])
WEIGHTS_C = np.array([0.9, 0.05, 0.03, 0.02])
EVEN_C = np.array([0.25, 0.3, 0.25, 0.2])  # weights for figures with a wide spread, such as single replies
_HALVINGS = 34  # [0, 1] is halved this often, so the ends are exact to 6e-11


def log_capital(
    y_NF: Floats, mean_F: Floats, *, weights_C: Floats = WEIGHTS_C, counts_N: Floats | None = None
) -> Floats:
    """Log of the capital of a bettor against "the mean is `mean_F` or more", shape (F,).

    Args:
        y_NF: Figures in [0, 1].
        mean_F: Supposed means, in [0, 1).
        weights_C: Share of the capital that goes to each of the stakes `STAKES_C`; sums to 1.
        counts_N: How often each row occurs; `None` means once each.
    """
    odds_NF = (1 - y_NF) / (1 - mean_F)
    with np.errstate(divide="ignore"):
        logs_CNF = np.log(1 + STAKES_C[:, None, None] * (odds_NF - 1))
        weighed_CF = np.log(weights_C)[:, None]
    # Whoever stakes everything loses it all to a single figure of 1; its logarithm is −∞ here.
    if counts_N is not None:
        logs_CNF = np.where(counts_N[:, None] > 0, logs_CNF * np.maximum(counts_N, 1e-300)[:, None], 0.0)
    grown_CF = logs_CNF.sum(1) + weighed_CF
    largest_F = np.maximum(grown_CF.max(0), np.finfo(float).min)
    return np.asarray(largest_F + np.log(np.exp(grown_CF - largest_F).sum(0)))


def mean_bounds(
    values_NF: ArrayLike,
    tail: float,
    *,
    low: ArrayLike = -1.0,
    high: ArrayLike = 1.0,
    weights_C: Floats = WEIGHTS_C,
    counts_N: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Lower and upper ends for the true mean of each column; each end is wrong with probability `tail` at most.

    The true mean is that of the population from which the rows were drawn, independently of each other.

    Args:
        values_NF: One draw per row and one figure per column, shape (N, F). Without rows nothing is known, and the
            ends are `low` and `high`.
        tail: Probability that one end is wrong, in (0, 1).
        low: Smallest possible figure: one number, or one per column.
        high: Largest possible figure: one number, or one per column.
        weights_C: Share of the capital that goes to each stake, as in `log_capital`.
        counts_N: How often each row occurs; `None` means once each.

    Returns:
        Lower and upper ends, shape (F,) each.

    Raises:
        ValueError: A figure is not finite, or lies outside `low` to `high`.
    """
    values_NF = np.asarray(values_NF, float)
    low_F, high_F = (np.broadcast_to(np.asarray(end, float), values_NF.shape[1:]) for end in (low, high))
    y_NF = (values_NF - low_F) / (high_F - low_F)
    # Probabilities that sum to 1 only up to rounding may differ by slightly more than 1.
    if not ((y_NF >= -1e-6) & (y_NF <= 1 + 1e-6)).all():
        raise ValueError(f"expected figures in [{np.min(low_F):g}, {np.max(high_F):g}], found one beyond.")
    y_NF = np.clip(y_NF, 0, 1)
    upper_F = _upper(y_NF, tail, weights_C, counts_N)
    lower_F = 1 - _upper(1 - y_NF, tail, weights_C, counts_N)
    width_F = high_F - low_F
    return low_F + width_F * lower_F, low_F + width_F * upper_F


def _upper(y_NF: Floats, tail: float, weights_C: Floats, counts_N: Floats | None) -> Floats:
    needed = -math.log(tail)
    low_F, high_F = np.zeros(y_NF.shape[1:]), np.ones(y_NF.shape[1:])
    for _ in range(_HALVINGS):
        middle_F = (low_F + high_F) / 2
        is_too_high = log_capital(y_NF, middle_F, weights_C=weights_C, counts_N=counts_N) >= needed
        low_F, high_F = np.where(is_too_high, low_F, middle_F), np.where(is_too_high, middle_F, high_F)
    return high_F
