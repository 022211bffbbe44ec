"""Calibration: from raw scores (nats a token) to P(support), P(neutral), P(oppose).

    q(s) = softmax_s( (l(s) − b(s)) / τ )

Both b and τ are fitted once, at the baseline, and frozen. A prior that is measured again at every look would subtract a
move that all items share, which is a drift to detect.

Shape letters: N items, O orders, S stances.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.stance import Probs, Stance

# Nats a token. A bank whose items differ by less has no resolution, and a smaller temperature would blow noise up to
# certainty. Chosen.
MIN_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """Offsets and temperature, frozen at the baseline.

    Attributes:
        neutral_offset: b of neutral, nats a token; that of the two sides is `side_offset` / 2 for support and
            −`side_offset` / 2 for oppose.
        temperature: τ, nats a token, above 0.
        side_offset: Nats a token; 0 without judged replies, since then the bank's own lean is all there is.
        num_items: Items it was fitted on.
        method: "prior" without judged replies, "labels" with them.
    """

    neutral_offset: float
    temperature: float
    side_offset: float = 0.0
    num_items: int = 0
    method: str = "prior"

    @property
    def offsets(self) -> Probs:
        """The b of each stance, nats a token."""
        return Probs(self.side_offset / 2, self.neutral_offset, -self.side_offset / 2)


def fit_prior(stances: Sequence[Stance]) -> Calibration:
    """A calibration that needs no judged reply.

    One offset makes the bank mean of the neutral score equal that of the two sides; the temperature is the standard
    deviation over items of half the log-odds. Levels are then comparable between looks, not between models.

    Args:
        stances: Of the baseline; those without scores are left out.

    Raises:
        ValueError: No stance has scores.
    """
    scores_NS = np.array([stance.scores for stance in stances if stance.scores is not None], float)
    if not len(scores_NS):
        raise ValueError("expected stances with scores, found none; only the screen's stances can be calibrated.")
    support_N, neutral_N, oppose_N = scores_NS.T
    return Calibration(
        neutral_offset=float((neutral_N - (support_N + oppose_N) / 2).mean()),
        temperature=max(float(((support_N - oppose_N) / 2).std()), MIN_TEMPERATURE),
        num_items=len(scores_NS),
    )


def calibrated(stances: Sequence[Stance], calibration: Calibration) -> list[Stance]:
    """The same stances with `probs` and `by_order` filled in from their scores.

    `probs` is the mean over both orders and stays `None` where one order is missing, as the model's taste for the side
    that stands first cancels only between the two. Stances without scores come back unchanged.
    """
    return [_calibrated(stance, calibration) for stance in stances]


def _calibrated(stance: Stance, calibration: Calibration) -> Stance:
    first, second = (None if s is None else _probs(s, calibration) for s in stance.scores_by_order)
    if first is not None and second is not None:
        mean = Probs(*((a + b) / 2 for a, b in zip(first, second, strict=True)))
        return replace(stance, probs=mean, by_order=(first, second))
    if first is not None or second is not None:
        reason = stance.unscored or "one order of the sides was not measured"
        return replace(stance, probs=None, by_order=(first, second), unscored=reason)
    if stance.scores is None:
        return stance
    return replace(stance, probs=_probs(stance.scores, calibration))


def _probs(scores: Probs, calibration: Calibration) -> Probs:
    return Probs(*softmax(np.asarray(scores), calibration).tolist())


def softmax(scores_S: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Calibrated probabilities of scores of shape (…, 3), the same shape."""
    logits_S = (scores_S - np.array(calibration.offsets)) / calibration.temperature
    odds_S = np.exp(logits_S - logits_S.max(-1, keepdims=True))
    return np.asarray(odds_S / odds_S.sum(-1, keepdims=True))
