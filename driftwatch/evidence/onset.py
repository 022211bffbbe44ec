"""Onset: since when a process has been growing, and how far the topic has moved since.

Of all starts u, the one whose bet w_u ∏_{u … t} L has grown most. It is kept up to date look by look, for each sign and
bet: a start is given up as soon as a new one promises more. Where a topic comes back to where it was, that start is
given up again, though it did move: for what has alerted, the start is therefore kept as of the look at which the bet
stood highest.

Shape letters: … batch and topic axes, G signs, B bets.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Onset(NamedTuple):
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

    def height(self, sign: Ints) -> Floats:
        """Natural log of the best bet of the sign, shape (…)."""
        return np.asarray(
            np.take_along_axis(self.log_best_GB, np.asarray(sign)[..., None, None], -2)[..., 0, :].max(-1)
        )


class Move(NamedTuple):
    """Since when something moved in the direction of its alert, and how far; each of shape (…).

    Attributes:
        log_height: Natural log of the best bet when it stood highest, −inf before an alert.
        look: The start that it had then, from 1; 0 before an alert.
        shift: Mean of the draws from that start to then; biased away from 0, see `Onset.estimate`.
    """

    log_height: Floats
    look: Ints
    shift: Floats


def unmoved(shape: tuple[int, ...]) -> Move:
    """Before an alert."""
    return Move(np.full(shape, -math.inf), np.zeros(shape, int), np.zeros(shape))


def at_peak(move: Move, onset: Onset, sign: Ints) -> Move:
    """The move after one more look: the start is another only where the bet stands higher than ever.

    Args:
        move: Before the look.
        onset: After it.
        sign: Of the alert, +1 or −1; 0 where there is none.
    """
    index = np.where(sign < 0, 1, 0)
    height, (shift, look) = onset.height(index), onset.estimate(index)
    higher = (np.asarray(sign) != 0) & (height > move.log_height)
    return Move(*(np.where(higher, new, old) for new, old in zip((height, look, shift), move, strict=True)))


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
