"""Onset: since when a process has been growing, and how far the topic has moved since.

Of all starts u, the one whose bet w_u ∏_{u … t} L has grown most. It is kept up to date look by look, for each sign and
bet: a start is given up as soon as a new one promises more.

Shape letters: … batch and topic axes, G signs, B bets.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Onset:
    """The best start of each process so far, and what was drawn since.

    Attributes:
        log_best_GB: Natural log of the best bet, −inf before the first look.
        look_GB: Look of its start, from 1; 0 before the first look.
        shift_sum_GB: Sum of the draws since.
        num_draws_GB: Number of draws since.
    """

    log_best_GB: Floats
    look_GB: Ints
    shift_sum_GB: Floats
    num_draws_GB: Floats

    def estimate(self, sign: Ints) -> tuple[Floats, Ints]:
        """Mean of the draws since the onset, and the onset's look.

        A mean over a chosen stretch is biased away from 0, the more so the less evidence there is.

        Args:
            sign: Index of the sign to read, shape (…).

        Returns:
            Both of shape (…); the mean is 0 where nothing was drawn.
        """
        chosen = np.asarray(sign)[..., None, None]
        best_B, look_B, sum_B, num_B = (
            np.take_along_axis(x, chosen, -2)[..., 0, :]
            for x in (self.log_best_GB, self.look_GB, self.shift_sum_GB, self.num_draws_GB)
        )
        bet = best_B.argmax(-1)[..., None]
        mean = np.take_along_axis(sum_B / np.maximum(num_B, 1), bet, -1)[..., 0]
        return np.asarray(mean), np.asarray(np.take_along_axis(look_B, bet, -1)[..., 0])


def unknown(shape: tuple[int, ...]) -> Onset:
    """Before the first look; `shape` ends in G, B."""
    zeros = np.zeros(shape)
    return Onset(np.full(shape, -math.inf), np.zeros(shape, int), zeros, zeros)


def track(onset: Onset, log_l_GB: Floats, shift_sum: Floats, num_draws: Floats, *, look: int, weight: float) -> Onset:
    """The best starts after one more look.

    Args:
        onset: Before the look.
        log_l_GB: Natural log of what the look multiplies each process by.
        shift_sum: Sum of the look's draws, shape (…).
        num_draws: Their number, shape (…).
        look: Number of the look, from 1.
        weight: Start weight of this look.
    """
    log_weight = math.log(weight) if weight > 0 else -math.inf
    anew = onset.log_best_GB < log_weight
    return Onset(
        log_best_GB=log_l_GB + np.where(anew, log_weight, onset.log_best_GB),
        look_GB=np.where(anew, look, onset.look_GB),
        shift_sum_GB=np.where(anew, 0, onset.shift_sum_GB) + shift_sum[..., None, None],
        num_draws_GB=np.where(anew, 0, onset.num_draws_GB) + num_draws[..., None, None],
    )
