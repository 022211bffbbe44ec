"""The betting e-process: evidence against a null that may be read at any look.

For draws x in [−1, 1] whose mean given the past is at most 0 under the null, a bet λ in (0, 1), and looks t = 1, 2, …:

    L_t = ∏ over the draws of look t ( 1 + λ x )
    A_t = L_t (A_{t−1} + w_t),  A_0 = 0
    E_t = mean over the bets of A_t  +  (1 − Σ_{u ≤ t} w_u)

Each factor has a conditional mean of at most 1, so E is a non-negative supermartingale that starts at 1. By Ville's
inequality P(E ever reaches c) ≤ 1/c. This holds whatever the number of looks, the reason for stopping, or the rule that
decides how many draws a look gets, as long as that rule sees only the past.

The weights w start the bet anew at every look (a Shiryaev-Roberts mixture), so that a late change is found as well. The
weight that is not spent yet is kept as cash.

Sources: Ville (1939); Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B
86(1); Shin, Ramdas and Rinaldo (2024), "E-detectors", NEJSDS 2(2). The weights are our own choice.

Everything is in natural logarithms. Shape letters: B bets, X the distinct values that a draw can take.
"""

import math
from functools import reduce

import numpy as np
from numpy.typing import NDArray

BETS = np.array(
    [0.15, 0.3, 0.5, 0.7, 0.9]
)  # small bets find small drifts, large bets find large ones; chosen by simulation
SLOW_WEIGHT_SUM = 2.11  # Σ over n ≥ 2 of 1 / (n ln² n) = 2.1097…, rounded up


def start_weight(look: int, planned: int | None) -> float:
    """The weight w_t with which the bet is started anew at a look.

    Args:
        look: Number of the look, from 1.
        planned: Number of looks planned when the run began, at least 1; `None` if unknown. Looks beyond the plan start
            no bet.

    Returns:
        In [0, 1]; the weights of all looks sum to at most 1. With a plan of several looks, half of the sum goes to the
        first look, since drift comes early.
    """
    if planned is None:
        return 1 / (SLOW_WEIGHT_SUM * (look + 1) * math.log(look + 1) ** 2)
    if look > planned:
        return 0.0
    if planned == 1:
        return 1.0
    return 0.5 if look == 1 else 0.5 / (planned - 1)


def cash(look: int, planned: int | None) -> float:
    """The weight that is not spent yet after a look, in [0, 1]."""
    if planned is not None and look >= planned:
        return 0.0  # exact, whereas a sum would leave a rounding error
    return max(0.0, 1.0 - math.fsum(start_weight(t, planned) for t in range(1, look + 1)))


def log_factors(x_X: NDArray[np.float64], bets_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of 1 + λ x for each value (…) and bet, shape (…, B); log L is then counts @ log_factors."""
    return np.asarray(np.log1p(bets_B * x_X[..., None]))


def advance(log_a: NDArray[np.float64], log_l: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """One look of A_t = L_t (A_{t−1} + w_t), in logarithms; any shape. The first look needs a weight above 0."""
    if weight == 0:
        return np.asarray(log_l + log_a)
    start = math.log(weight)
    # np.logaddexp would give the same and take three times as long, which is most of a simulation's time.
    return np.asarray(log_l + np.maximum(log_a, start) + np.log(1 + np.exp(-np.abs(log_a - start))))


def log_evidence(log_a_B: NDArray[np.float64], cash_left: float) -> NDArray[np.float64]:
    """Log of E_t: the mean over the bets (last axis) plus the cash."""
    total = log_mean(log_a_B)
    return np.asarray(np.logaddexp(total, math.log(cash_left)) if cash_left > 0 else total)


def log_mean(values_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the mean of exp(values) over the last axis; −inf where all values are −inf."""
    # It goes slice by slice, since numpy's own reduction over a last axis of five is three times slower.
    slices = [values_B[..., i] for i in range(values_B.shape[-1])]
    largest = np.maximum(reduce(np.maximum, slices), np.finfo(float).min)  # finite even where all values are −inf
    total = sum(np.exp(one - largest) for one in slices)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total / len(slices)) + largest)
