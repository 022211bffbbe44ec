"""Onset: since when a process has been growing, and how far the topic has moved since.

The onset is the start u whose bet w_u ∏_{u … t} L has grown most. It is updated look by look, for each sign and bet: a
start is given up as soon as a new start promises more. When a topic comes back to where it was, its start is given up
as well, although the topic did move. For a topic in alert the start is therefore kept as it was at the look at which
the bet stood highest.

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
        look_GB: Look at which the best bet started, from 1; 0 before the first look.
        shift_sum_GB: Sum of the draws since that start.
        num_draws_GB: Number of draws since that start.
    """

    log_best_GB: Floats
    look_GB: Ints
    shift_sum_GB: Floats
    num_draws_GB: Floats

    def estimate(self, sign: Ints) -> tuple[Floats, Ints]:
        """Mean of the draws since the onset, and the onset's look.

        A mean over a stretch that was chosen is biased away from 0, and more so with less evidence.

        Args:
            sign: Index of the sign to read, shape (…).

        Returns:
            Mean and look, each of shape (…); the mean is 0 where nothing was drawn.
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
        """Natural log of the best bet for a sign, shape (…)."""
        return np.asarray(
            np.take_along_axis(self.log_best_GB, np.asarray(sign)[..., None, None], -2)[..., 0, :].max(-1)
        )


class Move(NamedTuple):
    """Since when something moved in the direction of its alert, and how far; each figure has shape (…).

    Attributes:
        log_height: Natural log of the best bet at the look at which it stood highest; −inf before an alert.
        look: Look at which that bet started, from 1; 0 before an alert.
        shift: Mean of the draws between these two looks; biased away from 0, see `Onset.estimate`.
    """

    log_height: Floats
    look: Ints
    shift: Floats


def unmoved(shape: tuple[int, ...]) -> Move:
    """The move before an alert: none."""
    return Move(np.full(shape, -math.inf), np.zeros(shape, int), np.zeros(shape))


def at_peak(move: Move, onset: Onset, sign: Ints) -> Move:
    """The move after one more look; it changes only where the bet stands higher than ever before.

    Args:
        move: The move before the look.
        onset: The onset after the look.
        sign: Sign of the alert, +1 or −1; 0 where there is no alert.
    """
    index = np.where(sign < 0, 1, 0)
    height, (shift, look) = onset.height(index), onset.estimate(index)
    higher = (np.asarray(sign) != 0) & (height > move.log_height)
    return Move(*(np.where(higher, new, old) for new, old in zip((height, look, shift), move, strict=True)))


def unknown(shape: tuple[int, ...]) -> Onset:
    """The onset before the first look; `shape` ends in G, B."""
    zeros = np.zeros(shape)
    return Onset(np.full(shape, -math.inf), np.zeros(shape, int), zeros, zeros)


def track(onset: Onset, log_l_GB: Floats, shift_sum: Floats, num_draws: Floats, *, look: int, weight: float) -> Onset:
    """The best starts after one more look.

    Args:
        onset: The onset before the look.
        log_l_GB: Natural log of the factor by which the look multiplies each process.
        shift_sum: Sum of the look's draws, shape (…).
        num_draws: Number of the look's draws, shape (…).
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
