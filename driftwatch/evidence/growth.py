"""Growth: the factor by which one look multiplies each e-process.

A draw takes few distinct values, so a look is a table of counts, and log L is the counts times the log factors. This is
the same number as a product over draws, in a fraction of the time.

Shape letters: … batch axes, T topics (V values, then C controls), N draws, P pairs of outcomes, D tolerated drifts δ,
K kinds, G signs (+, −), H counts (plain, lost, gained), B bets.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import LOST_P, NOT_DRAWN, NUM_PAIRS, SHIFT_KP, STEPS_KP, tally
from driftwatch.evidence.betting import BETS, log_factors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGNS_G = np.array([1.0, -1.0])
HIDDEN_H = np.array([0.0, 1.0, -1.0])


def of_counts(counts_TP: Floats, deltas: tuple[float, ...], own: Mapping[int, float]) -> Floats:
    """Log L of the plain and the value counts.

    Args:
        counts_TP: How often each pair of outcomes was drawn, shape (…, T, P).
        deltas: Tolerated drifts δ.
        own: By position of a topic, its own tolerated drift, which replaces the last of `deltas`.

    Returns:
        Shape (…, T, D, K, G, H, B).
    """
    log_l_TDKGHB = _contracted(counts_TP, count_factors(deltas))
    for delta in set(own.values()):
        rows = [t for t, tolerated in own.items() if tolerated == delta]
        found = _contracted(counts_TP, count_factors((*deltas[:-1], delta)))
        log_l_TDKGHB[..., rows, -1, :, :, :, :] = found[..., rows, -1, :, :, :, :]
    return log_l_TDKGHB


def of_lost(counts_TP: Floats) -> Floats:
    """Log L of g u, the stances lost or gained, shape (…, T, G, B)."""
    return _contracted(counts_TP, _LOST_FACTORS_PGB)


def of_controls(pairs_TN: Ints, num_values: int) -> Floats:
    """Log L of ½ (g d − h d_c): each value topic against each control, paired draw by draw.

    Args:
        pairs_TN: Pair code of each draw, shape (…, T, N); below 0 where there is no draw.
        num_values: Number of value topics, which come first; the rest are controls.

    Returns:
        Shape (…, V, C, K, G, 2, B), the axis of length 2 being h = +1, −1.
    """
    if pairs_TN.shape[-2] == num_values:
        return np.zeros((*pairs_TN.shape[:-2], num_values, 0, 2, 2, 2, len(BETS)))
    own = pairs_TN[..., :num_values, None, :]
    other = pairs_TN[..., None, num_values:, :]
    both = (own >= 0) & (other >= 0)
    by_kind = []
    for steps_P, largest in zip(STEPS_KP, (2, 1), strict=True):
        factors = _joint_factors(largest)
        size = len(factors)
        joint = np.where(both, (steps_P[own] + largest) * size + steps_P[other] + largest, NOT_DRAWN)
        log_l = tally(joint, size**2) @ factors.reshape(size**2, -1)
        by_kind.append(log_l.reshape(*joint.shape[:-1], *factors.shape[2:]))
    return np.stack(by_kind, axis=-4)


def _contracted(counts_TP: Floats, factors_PX: Floats) -> Floats:
    flat = counts_TP @ factors_PX.reshape(NUM_PAIRS, -1)
    return np.asarray(flat.reshape(*counts_TP.shape[:-1], *factors_PX.shape[1:]))


@lru_cache(maxsize=32)
def count_factors(deltas: tuple[float, ...]) -> Floats:
    """Log of 1 + λ x for each pair, shape (P, D, K, G, H, B)."""
    d_PKG1 = SHIFT_KP.T[:, :, None, None] * SIGNS_G[:, None]
    u_PK1H = LOST_P[:, None, None, None] * HIDDEN_H * np.array([0.5, 1.0])[:, None, None]
    # For neutral a lost stance weighs as much as a neutral reply; halving keeps the difference in [−1, 1].
    scale_K1H = np.array([[1.0, 1.0, 1.0], [1.0, 0.5, 0.5]])[:, None, :]
    by_delta = [log_factors((d_PKG1 - u_PK1H - delta) * scale_K1H, BETS / (1 + delta)) for delta in deltas]
    return np.stack(by_delta, axis=1)


@lru_cache(maxsize=2)
def _joint_factors(largest: int) -> Floats:
    """Log of 1 + λ ½ (g d − h d_c) for every pair of steps (own, other), shape (S, S, G, 2, B), S = 2 largest + 1."""
    values_S = np.arange(-largest, largest + 1) / largest
    x_SSGH = (values_S[:, None, None, None] * SIGNS_G[:, None] - values_S[:, None, None] * SIGNS_G) / 2
    return log_factors(x_SSGH, BETS)


_LOST_FACTORS_PGB = log_factors(LOST_P[:, None] * SIGNS_G, BETS)
