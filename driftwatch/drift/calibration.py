"""Calibration: from raw scores (nats per token) to P(support), P(neutral), P(oppose).

    q(s) = softmax_s( (l(s) − b(s)) / τ )

Both b and τ are fitted once, at the baseline, and then frozen. If b were measured again at every observation, it would
subtract any move that all items share, and such a move is exactly the drift that we want to detect.

Shape letters: N items, O orders, S stances.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.stance import Probs, Stance

# Nats per token. A bank whose items differ by less has no resolution, and a smaller temperature would blow noise up to
# certainty. Chosen.
MIN_TEMPERATURE = 0.05
MIN_SLOPE = 1e-3  # per nat: a temperature of 1,000 nats, at which no score matters
FOLDS = 5  # folds of the cross-validation; with fewer than two items per fold its loss is luck
MIN_LABELLED = 2 * FOLDS
SHRINK = 0.5  # shrinks toward equal offsets by half a reply, so that a stance that was never seen stays possible
# Standard errors over items by which a fit must gain to be kept. The number was chosen by simulation:
# - Labels that do not depend on the scores, in 3,200 banks of 10 to 150 items with 8 replies per item: a required gain
#   of 0 keeps 10 % of the fits, 1 keeps 1.2 %, 1.5 keeps 0.3 % and 2 keeps none.
# - Labels that do depend on them: a required gain of 2 keeps all fits at 150 items, and 33 % to 99 % at 40 items, more
#   where the labels depend on the scores more. Where a fit is not kept the prior stays, which is safe.
# To measure this again, on fewer banks: python -m pytest tests/drift/test_label_fits.py -s
MIN_GAIN = 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Offsets and temperature, frozen at the baseline.

    Attributes:
        neutral_offset: b of the neutral stance, nats per token; b is `side_offset` / 2 for support and
            −`side_offset` / 2 for oppose.
        temperature: τ, nats per token, above 0.
        side_offset: Difference of the offsets of support and oppose, nats per token. It is 0 without judged replies,
            since the bank alone cannot tell a bias toward one side from a lean of its items.
        num_items: Number of items on which it was fitted.
        method: "prior" if it was fitted without judged replies, "labels" if it was fitted to them.
    """

    neutral_offset: float
    temperature: float
    side_offset: float = 0.0
    num_items: int = 0
    method: str = "prior"

    @property
    def offsets(self) -> Probs:
        """The offset b of each stance, nats per token."""
        return Probs(self.side_offset / 2, self.neutral_offset, -self.side_offset / 2)


def fit_prior(stances: Sequence[Stance]) -> Calibration:
    """A calibration that needs no judged reply.

    The neutral offset is set so that the neutral score has the same mean over the bank as the two sides. The
    temperature is the standard deviation over items of half the log-odds. Levels can then be compared between
    observations, but not between models.

    Args:
        stances: Stances of the baseline; those without scores are left out.

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

    `probs` is the mean over both orders. It stays `None` where one order is missing, since the model's preference for
    the side that stands first cancels only between the two. Stances without scores come back unchanged.
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
    """Calibrated probabilities from scores of shape (…, 3), in the same shape."""
    logits_S = (scores_S - np.array(calibration.offsets)) / calibration.temperature
    odds_S = np.exp(logits_S - logits_S.max(-1, keepdims=True))
    return np.asarray(odds_S / odds_S.sum(-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class LabelFit:
    """A calibration fitted to judged replies, with the losses that say whether it is worth keeping.

    Attributes:
        calibration: The calibration fitted on all items.
        log_loss: Its loss, cross-validated by item, in nats per reply that took a stance.
        prior_log_loss: The same loss of the calibration without labels.
        constant_log_loss: The same loss of a guess that ignores the items: the mean shares of the labels, equally
            smoothed.
        prior_error: Standard error over items of `prior_log_loss` − `log_loss`.
        constant_error: Standard error over items of `constant_log_loss` − `log_loss`.
        num_flat: Number of fits, out of the fit to all items and those to all folds but one, in which a higher score
            of a stance did not go with more replies that take it.
    """

    calibration: Calibration
    log_loss: float
    prior_log_loss: float
    constant_log_loss: float
    prior_error: float
    constant_error: float
    num_flat: int

    @property
    def is_worth_it(self) -> bool:
        """Whether it predicts held-out items better than the prior and better than the mean shares, beyond luck.

        A fit that beats only the prior has learned how often each stance is taken, but not by which items: its
        temperature is so high that no drift would show. The same holds for a fit that came out flat, whatever its loss.
        """
        return self.why_not is None

    @property
    def why_not(self) -> str | None:
        """Why it should not be kept, in words; `None` where nothing speaks against it."""
        if self.num_flat:
            return f"higher scores did not go with more replies in {self.num_flat} of its {1 + FOLDS} fits"
        rivals = {
            "no labels": (self.prior_log_loss - self.log_loss, self.prior_error),
            "the mean shares": (self.constant_log_loss - self.log_loss, self.constant_error),
        }
        for rival, (gain, error) in rivals.items():
            if not gain > MIN_GAIN * error:
                return (
                    f"its gain over {rival} is {gain:+.3f} with a standard error of {error:.3f}, "
                    f"and {MIN_GAIN:g} standard errors are needed"
                )
        return None


def fit_labels(stances: Sequence[Stance], replies: Sequence[Stance], rng: np.random.Generator) -> LabelFit:
    """Offsets and temperature fitted by multinomial likelihood to the label shares of judged replies at the baseline.

    Args:
        stances: Stances of the screen, with scores.
        replies: For each of the same items, the shares of its replies that took each stance. Replies that took no
            stance make up the rest to 1. They are left out of the likelihood, so an item weighs by the share that did.
        rng: Splits the items into `FOLDS` folds; whole items are held out, not single replies.

    Raises:
        ValueError: Fewer than `MIN_LABELLED` items have both scores and judged replies.
    """
    both = labelled_items(stances, replies)
    if len(both) < MIN_LABELLED:
        raise ValueError(
            f"expected at least {MIN_LABELLED} items with scores and judged replies, found {len(both)}; "
            f"use fit_prior, which needs no labels."
        )
    scores_NS = np.array([scores for scores, _ in both], float)
    label_NS = np.array([label for _, label in both], float)
    label_NS *= len(both) / label_NS.sum()  # an item weighs 1 on average, as the shrinkage below expects
    prior = fit_prior(stances)
    whole = _maximum_likelihood(scores_NS, label_NS)
    fits = [whole]
    fold_N = rng.permutation(np.arange(len(both)) % FOLDS)
    loss_3N = np.zeros((3, len(both)))
    for fold in range(FOLDS):
        out = fold_N == fold
        fits.append(_maximum_likelihood(scores_NS[~out], label_NS[~out]))
        constant_S = _shares(label_NS[~out])
        guesses = (softmax(scores_NS[out], fits[-1]), softmax(scores_NS[out], prior), constant_S)
        for rival, guess in enumerate(guesses):
            loss_3N[rival, out] = -(label_NS[out] * np.log(np.maximum(guess, 1e-12))).sum(1)
    own, without, constant = loss_3N.mean(1).tolist()
    error, constant_error = ((loss_3N[1:] - loss_3N[0]).std(1, ddof=1) / math.sqrt(len(both))).tolist()
    num_flat = sum(fit.temperature >= 1 / MIN_SLOPE for fit in fits)
    return LabelFit(whole, own, without, constant, error, constant_error, num_flat)


def labelled_items(stances: Sequence[Stance], replies: Sequence[Stance]) -> list[tuple[Probs, Probs]]:
    """Scores and label shares of the items that have both, with at least one reply that took a stance."""
    labels = {(s.topic, s.item): s.probs for s in replies if s.probs is not None and sum(s.probs) > 0}
    return [(s.scores, labels[s.topic, s.item]) for s in stances if s.scores and (s.topic, s.item) in labels]


def _maximum_likelihood(scores_NS: NDArray[np.float64], label_NS: NDArray[np.float64]) -> Calibration:
    """The fit of logits β l(s) + c(s) with c(oppose) = 0: three parameters, slightly shrunk, and β within its bounds.

    Args:
        scores_NS: Scores, nats per token.
        label_NS: How much of each item took each stance; an item weighs by its sum.
    """
    num_items = len(scores_NS)
    centred_NS = scores_NS - scores_NS.mean(1, keepdims=True)  # a softmax ignores what all stances share
    offsets_NS2 = _offsets(num_items)
    features_NS3 = np.concatenate([centred_NS[:, :, None], offsets_NS2], axis=2)
    slope, *at = _newton(features_NS3, label_NS, np.array([0.0, SHRINK, SHRINK]), np.zeros_like(centred_NS))
    # The slope meets its lower bound where scores say nothing, or the opposite: every item then gets the mean shares.
    # At either bound the offsets are fitted again, since those of another slope would shift every item.
    if not MIN_SLOPE < slope < 1 / MIN_TEMPERATURE:
        slope = min(max(slope, MIN_SLOPE), 1 / MIN_TEMPERATURE)
        at = _newton(offsets_NS2, label_NS, np.full(2, SHRINK), slope * centred_NS)
    support, neutral = (-at_stance / slope for at_stance in at)
    # Only differences of offsets matter; shift them so that those of the two sides sum to 0.
    return Calibration(
        neutral_offset=float(neutral - support / 2),
        temperature=1 / slope,
        side_offset=float(support),
        num_items=num_items,
        method="labels",
    )


def _shares(label_NS: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares that the fit above would give every item without its scores; equal shrinkage makes the rival fair."""
    logits_S = np.array([*_newton(_offsets(len(label_NS)), label_NS, np.full(2, SHRINK), np.zeros_like(label_NS)), 0.0])
    odds_S = np.exp(logits_S - logits_S.max())
    return np.asarray(odds_S / odds_S.sum())


def _offsets(num_items: int) -> NDArray[np.float64]:
    """The features whose weights are c(support) and c(neutral), shape (N, 3, 2)."""
    offsets_NS2 = np.zeros((num_items, 3, 2))
    offsets_NS2[:, 0, 0] = offsets_NS2[:, 1, 1] = 1.0
    return offsets_NS2


def _newton(
    features_NSK: NDArray[np.float64],
    label_NS: NDArray[np.float64],
    shrink_K: NDArray[np.float64],
    fixed_NS: NDArray[np.float64],
) -> list[float]:
    """The K weights that maximise Σ label log softmax(fixed + features · weights) − ½ shrink weights² (concave)."""
    mass_N1 = label_NS.sum(1, keepdims=True)
    weight_K = np.zeros(len(shrink_K))
    for _ in range(100):
        logits_NS = fixed_NS + features_NSK @ weight_K
        p_NS = np.exp(logits_NS - logits_NS.max(1, keepdims=True))
        p_NS /= p_NS.sum(1, keepdims=True)
        gradient_K = np.einsum("ns,nsk->k", label_NS - mass_N1 * p_NS, features_NSK) - shrink_K * weight_K
        mean_NK = np.einsum("ns,nsk->nk", p_NS, features_NSK)
        hessian = np.einsum("ns,nsk,nsl->kl", mass_N1 * p_NS, features_NSK, features_NSK)
        hessian += np.diag(shrink_K + 1e-9) - (mass_N1 * mean_NK).T @ mean_NK
        step_K = np.linalg.solve(hessian, gradient_K)
        step_K *= min(1.0, 5.0 / max(float(np.abs(step_K).max()), 1e-12))
        weight_K = weight_K + step_K
        if np.abs(step_K).max() < 1e-9:
            break
    found: list[float] = weight_K.tolist()
    return found
