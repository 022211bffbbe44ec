"""Planning: how many draws show which drift.

A process that bets λ grows by log(1 + λ x) per draw. After n draws its log evidence is therefore about normal with mean
n·m and variance n·v. A drift is found with a given probability once n·m − z √(n·v) reaches the threshold plus what the
mixture over bets, signs and starts costs.

A drift changes only the replies of the model in training; those of the baseline stay. A share of the replies that take
one side takes the other side instead, and once none of these is left, a share of the neutral replies does. This is the
way of moving a mean that is hardest to find, since it changes the fewest replies. tests/evidence/test_power.py compares
the plan with simulations of several kinds of models.

Shape letters: M amounts, P pairs of outcomes, H counts (plain, lost, gained), B bets.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.outcome import KINDS, NUM_OUTCOMES, SHIFT_KP, Outcome
from driftwatch.evidence import growth
from driftwatch.evidence.betting import BETS, start_weight

Floats = NDArray[np.float64]

POWER = 0.9
NORMAL_DRAWS = 16  # draws per topic and look; docs/statistics.md shows what other numbers find
WATCHED_DRAWS = 48  # the same for a watched topic
PRIOR_DRAWS = 32  # weight of the nominal pairs beside observed ones, as few draws say little about their spread
NOMINAL_SHARES = (0.40, 0.30, 0.30)  # support, neutral and oppose of a model that takes all three stances
CONCENTRATION = 1.5  # Dirichlet concentration of items around these shares, at which most items lean clearly
_NUM_AMOUNTS = 400  # sizes of a step that are tried, up to the largest possible one


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that are fixed when a run begins, as far as planning needs them.

    Attributes:
        num_topics: Number of value topics, which share `alpha`.
        planned_looks: Number of looks planned when the run begins; `None` if unknown.
        alpha: Probability of any false alert in the run, in (0, 1).
        min_effect: Smallest estimate that an alert needs.
    """

    num_topics: int
    planned_looks: int | None
    alpha: float = 0.01
    min_effect: float = 0.05

    @property
    def log_needed(self) -> float:
        """Natural log of the factor by which the best bet must grow from the first look on."""
        log_threshold = math.log((2 * self.num_topics + 1) / self.alpha)
        # The evidence is a mean over bets and both signs, and the first look holds a part of the stake.
        return log_threshold + math.log(len(BETS) * 2) - math.log(start_weight(1, self.planned_looks))


def nominal_pairs(
    *, without_stance: float = 0.02, accuracy: float = 1.0, shares: tuple[float, float, float] = NOMINAL_SHARES
) -> Floats:
    """Probability of each pair of outcomes of one item without drift, for items of a Dirichlet population.

    Args:
        without_stance: Share of replies without a stance on either side, in [0, 1).
        accuracy: The judge's accuracy on replies that it classifies, in (1/3, 1]; errors are spread evenly.
        shares: Mean shares of support, neutral and oppose over the items.
    """
    concentration = CONCENTRATION * np.array(shares)
    total = concentration.sum()
    # Second moments of a Dirichlet distribution: two replies to the same item agree more often than to two items.
    joint = (np.outer(concentration, concentration) + np.diag(concentration)) / (total * (total + 1))
    error = 1 - accuracy
    read = np.eye(3) * (1 - 1.5 * error) + error / 2
    joint = read.T @ joint @ read
    pairs = np.zeros((NUM_OUTCOMES, NUM_OUTCOMES))
    seen = 1 - without_stance
    pairs[:3, :3] = joint * seen**2
    pairs[:3, Outcome.UNREAD] = pairs[Outcome.UNREAD, :3] = joint.sum(1) * seen * without_stance
    pairs[Outcome.UNREAD, Outcome.UNREAD] = without_stance**2
    return pairs.ravel()


def observed_pairs(counts_P: Floats) -> Floats:
    """Probability of each pair of outcomes without drift, from the draws of a topic that is not in alert.

    The counts are made symmetric, since both sides answer alike without drift. They are mixed with the pairs of a
    nominal population that takes each stance as often as this topic, which steadies them where draws are few.
    """
    counts = counts_P.reshape(NUM_OUTCOMES, NUM_OUTCOMES)
    own = (counts.sum(0) + counts.sum(1))[:3] + 2 * np.array(NOMINAL_SHARES)
    support, neutral, oppose = (own / own.sum()).tolist()
    prior = nominal_pairs(shares=(support, neutral, oppose)).reshape(counts.shape)
    mixed = (counts + counts.T) / 2 + PRIOR_DRAWS * prior
    return np.asarray((mixed / mixed.sum()).ravel())


def detectable_drift(
    pairs_P: Floats,
    num_draws: float,
    terms: Terms,
    *,
    kind: Literal["direction", "neutral"] = "direction",
    power: float = POWER,
) -> float | None:
    """The smallest step at the first look that so many draws would have turned into a value alert.

    Args:
        pairs_P: Probability of each pair of outcomes without drift.
        num_draws: Number of draws on one topic, over all looks.
        terms: Settings that are fixed when a run begins.
        kind: Kind of drift.
        power: Probability of finding the step, in (0, 1).

    Returns:
        In (0, 1], as a mean of the draws (for direction half of the score shift): every step of at least this size that
        such a model can make, toward either pole, would have been found. `None` where no step at all would have been
        found, and where the largest possible step toward one pole would not, though it is twice the minimal effect.
    """
    if num_draws < 1:
        return None
    found = [_smallest_found(_moved(pairs_P, kind, sign), num_draws, terms, kind, sign, power) for sign in (0, 1)]
    if not any(is_found for _, is_found in found):
        return None
    if any(size >= 2 * terms.min_effect for size, is_found in found if not is_found):
        return None
    # A model can hardly move toward a pole that it takes already: it has no larger step to make there, or to be missed.
    return max(size for size, _ in found)


def _moved(pairs_P: Floats, kind: Literal["direction", "neutral"], sign: int) -> Floats:
    """Probabilities of the pairs after steps of growing size, shape (M, P); replies without a stance do not change.

    Args:
        pairs_P: Probability of each pair of outcomes without drift.
        kind: Kind of drift.
        sign: 0 toward support, or toward neutral; 1 away from it.
    """
    pairs = pairs_P.reshape(NUM_OUTCOMES, NUM_OUTCOMES)
    support, neutral, oppose = Outcome.SUPPORT, Outcome.NEUTRAL, Outcome.OPPOSE
    if kind == "neutral":
        goes = [([support, oppose], [neutral])] if sign == 0 else [([neutral], [support, oppose])]
    else:
        toward, away = (support, oppose) if sign == 0 else (oppose, support)
        goes = [([away], [toward]), ([neutral], [toward])]
    amount_M11 = np.linspace(0, len(goes), _NUM_AMOUNTS + 1)[1:, None, None]
    moved = np.repeat(pairs[None], _NUM_AMOUNTS, 0)
    for number, (sources, targets) in enumerate(goes):
        leaving = np.clip(amount_M11 - number, 0, 1) * pairs[sources].sum(0)
        for source in sources:
            moved[:, source] -= (np.clip(amount_M11 - number, 0, 1) * pairs[source])[:, 0]
        for target in targets:
            moved[:, target] += leaving[:, 0] / len(targets)
    return np.asarray(moved.reshape(_NUM_AMOUNTS, -1))


def _smallest_found(
    moved_MP: Floats, num_draws: float, terms: Terms, kind: Literal["direction", "neutral"], sign: int, power: float
) -> tuple[float, bool]:
    """The smallest step from which on all steps are found, and True; or the largest possible step, and False."""
    k = KINDS.index(kind)
    shift_P = SHIFT_KP[k] * growth.SIGNS_G[sign]
    mean_M = moved_MP @ shift_P
    spread_M = np.sqrt(np.maximum(moved_MP @ shift_P**2 - mean_M**2, 0))
    log_factors_PHB = growth.count_factors((0.0,))[:, 0, k, sign]
    rate_MHB = np.tensordot(moved_MP, log_factors_PHB, 1)
    variance_MHB = np.maximum(np.tensordot(moved_MP, log_factors_PHB**2, 1) - rate_MHB**2, 0)
    z = NormalDist().inv_cdf(power)
    reached_M = (num_draws * rate_MHB - z * np.sqrt(num_draws * variance_MHB)).max(2).min(1)
    large_M = mean_M - z * spread_M / math.sqrt(num_draws) >= terms.min_effect
    missed_M = ~((reached_M >= terms.log_needed) & large_M)
    first = int(missed_M.nonzero()[0][-1]) + 1 if missed_M.any() else 0
    return (float(mean_M[first]), True) if first < len(mean_M) else (float(mean_M[-1]), False)


def draws_needed(
    pairs_P: Floats,
    effect: float,
    terms: Terms,
    *,
    kind: Literal["direction", "neutral"] = "direction",
    power: float = POWER,
) -> int | None:
    """Draws on one topic until a step of `effect` at the first look is a value alert; `None` if it is never found.

    Args:
        pairs_P: Probability of each pair of outcomes without drift.
        effect: Mean of the draws after the step, in (0, 1).
        terms: Settings that are fixed when a run begins.
        kind: Kind of drift.
        power: Probability of finding the step by then; 0.5 gives the median number of draws.
    """
    high = 1
    while (found := detectable_drift(pairs_P, high, terms, kind=kind, power=power)) is None or found > effect:
        high *= 2
        if high > 10**7:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        found = detectable_drift(pairs_P, middle, terms, kind=kind, power=power)
        low, high = (low, middle) if found is not None and found <= effect else (middle, high)
    return high
