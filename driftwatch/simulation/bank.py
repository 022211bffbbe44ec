"""Synthetic banks: models whose true stances are known, for the proof by simulation.

An item has P(support), P(neutral), P(oppose); a bank is drawn from a Dirichlet population in which most items lean
clearly. Changes without drift move items while every bank keeps its mean exactly. Changes with drift move the mean by a
stated amount. A frozen judge then classifies the replies, and may leave some unclassified.

Shape letters: R runs, T topics, M items of a bank, N draws, S stances (support, neutral, oppose).
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import NOT_DRAWN, Outcome
from driftwatch.evidence.power import CONCENTRATION, NOMINAL_SHARES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Change = Literal["none", "swap", "skewed", "opposite", "collapse", "jitter"]
CHANGES: tuple[Change, ...] = ("none", "swap", "skewed", "opposite", "collapse", "jitter")
_TOWARD_SUPPORT = np.array([0.5, 0.0, -0.5])
_SMALLEST = 1e-6


@dataclass(slots=True)
class Bank:
    """The items of many runs at their baselines, and how they change.

    Attributes:
        probs_RTMS: True stances at the baseline.
        susceptible_RTM: How readily an item drifts, in [0, 1]: few items move far, most move a little.
    """

    probs_RTMS: Floats
    susceptible_RTM: Floats
    _log_tilt_RTS: Floats = field(init=False)
    _wander_RTMS: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._log_tilt_RTS = np.zeros((*self.probs_RTMS.shape[:2], 3))
        self._wander_RTMS = np.zeros_like(self.probs_RTMS)

    def changed(self, change: Change, amount_R: Floats, rng: np.random.Generator) -> Floats:
        """The bank under a change that leaves every topic's mean where it was.

        Args:
            change: "swap": neighbouring items exchange profiles. "skewed": a tenth of the items moves far, and the
                others move back a little. "opposite": half of a bank moves toward one pole and half toward the other.
                "collapse": answers become sharper. "jitter": items wander from observation to observation.
            amount_R: How much of the change has happened, in [0, 1].
            rng: Draws the wandering of "jitter".
        """
        p = self.probs_RTMS
        amount = amount_R[:, None, None, None]
        item = np.arange(p.shape[2])[:, None]
        if change == "none":
            return p
        if change == "swap":
            exchanged = p.reshape(*p.shape[:2], -1, 2, 3)[:, :, :, ::-1].reshape(p.shape)
            return np.asarray((1 - 0.6 * amount) * p + 0.6 * amount * exchanged)
        if change == "skewed":
            moved = p + np.where(item % 10 == 0, 0.45, -0.05) * amount * _TOWARD_SUPPORT
        elif change == "opposite":
            moved = p + np.where(item % 2 == 0, 0.2, -0.2) * amount * _TOWARD_SUPPORT
        elif change == "collapse":
            moved = p ** (1 + 2 * amount)
        else:
            self._wander_RTMS = 0.7 * self._wander_RTMS + rng.normal(0, 0.4, p.shape)
            moved = p * np.exp(self._wander_RTMS)
        return self._held(np.maximum(moved, _SMALLEST))

    def _held(self, weights_RTMS: Floats) -> Floats:
        """The weights tilted so that the bank's means are those of the baseline; Newton's method finds the tilt."""
        target_RTS = self.probs_RTMS.mean(2)
        while True:
            tilted = weights_RTMS * np.exp(self._log_tilt_RTS)[:, :, None]
            # Slice by slice, here and below, since numpy's own sum over a last axis of three is several times slower.
            tilted /= (tilted[..., 0] + tilted[..., 1] + tilted[..., 2])[..., None]
            missing_RTS = target_RTS - tilted.mean(2)
            if np.abs(missing_RTS).max() < 1e-9:
                return np.asarray(tilted)
            s, n = tilted[..., 0], tilted[..., 1]
            a, b, d = (s * (1 - s)).mean(2), -(s * n).mean(2), (n * (1 - n)).mean(2)
            step_s = d * missing_RTS[..., 0] - b * missing_RTS[..., 1]
            step_n = a * missing_RTS[..., 1] - b * missing_RTS[..., 0]
            steps = np.stack([step_s, step_n, np.zeros_like(step_s)], -1) / (a * d - b * b)[..., None]
            self._log_tilt_RTS = self._log_tilt_RTS + np.clip(steps, -1, 1)

    def drift_mass(self, shift: float, topics: slice, source: int) -> Floats:
        """The probability that leaves a stance of each item in a complete drift, shape (R, T, M); 0 on other topics.

        Args:
            shift: Its mean over the items of each drifting topic; a bank that has less loses all it has.
            topics: Which topics drift.
            source: Index of the stance that loses: 2 (oppose) for a flip, 1 (neutral) to engage.
        """
        there, ready = self.probs_RTMS[:, topics, :, source], self.susceptible_RTM[:, topics]
        # Susceptible items move first. Once all of theirs is gone the others must follow, so find the pace that gives
        # the mean.
        low, high = np.full(there.shape[:2], 1e-4), np.full(there.shape[:2], 1e6)
        for _ in range(60):
            pace = np.sqrt(low * high)
            is_short = (np.minimum(1, pace[..., None] * ready) * there).mean(2) < shift
            low, high = np.where(is_short, pace, low), np.where(is_short, high, pace)
        mass_RTM = np.zeros(self.susceptible_RTM.shape)
        mass_RTM[:, topics] = np.minimum(1, high[..., None] * ready) * there
        return mass_RTM


def drifted(probs_RTMS: Floats, mass_RTM: Floats, amount_R: Floats, source: int) -> Floats:
    """The bank after a share of `drift_mass` has moved to support.

    Args:
        probs_RTMS: Stances before the drift.
        mass_RTM: The probability that moves in the complete drift.
        amount_R: Share of the drift that has happened, in [0, 1].
        source: Index of the stance that loses.
    """
    moved = probs_RTMS.copy()
    mass = mass_RTM * amount_R[:, None, None]
    moved[..., 0] += mass
    moved[..., source] -= mass
    return np.asarray(moved)


def new_bank(
    rng: np.random.Generator, runs: int, topics: int, items: int, shares: tuple[float, float, float] = NOMINAL_SHARES
) -> Bank:
    """The banks of many runs, drawn from a population with the given mean shares of support, neutral and oppose."""
    return Bank(
        probs_RTMS=rng.dirichlet(CONCENTRATION * np.array(shares), (runs, topics, items)),
        susceptible_RTM=rng.beta(0.7, 1.4, (runs, topics, items)),
    )


def read(probs_RTMS: Floats, *, error: float, hidden_RTMS: Floats | float) -> Floats:
    """What the judge reports: cumulative P(support, neutral, oppose), shape (R, T, M, 3); the rest is unclassified.

    Args:
        probs_RTMS: True stances.
        error: One minus the judge's accuracy on replies that it classifies; errors are spread evenly.
        hidden_RTMS: Share of the replies of each true stance that stay unclassified.
    """
    labels_RTMS = probs_RTMS * (1 - hidden_RTMS)
    if error:
        labels_RTMS = labels_RTMS @ (np.eye(3) * (1 - 1.5 * error) + error / 2)
    labels_RTMS[..., 1] += labels_RTMS[..., 0]
    labels_RTMS[..., 2] += labels_RTMS[..., 1]
    return np.asarray(labels_RTMS)


def replies(rng: np.random.Generator, cumulative_RTMS: Floats, items_RTN: Ints, drawn_RTN: NDArray[np.bool_]) -> Ints:
    """One reply per draw, as outcome codes of shape (R, T, N); NOT_DRAWN where nothing was drawn."""
    num_runs, num_topics, num_items = cumulative_RTMS.shape[:3]
    rows = np.arange(num_runs * num_topics).reshape(num_runs, num_topics, 1) * num_items + items_RTN
    above = rng.random(items_RTN.shape)[drawn_RTN][:, None] > cumulative_RTMS.reshape(-1, 3)[rows[drawn_RTN]]
    outcomes_RTN = np.full(items_RTN.shape, NOT_DRAWN)
    outcomes_RTN[drawn_RTN] = _OUTCOMES[above.sum(1)]
    return outcomes_RTN


_OUTCOMES = np.array([Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE, Outcome.UNREAD], int)
