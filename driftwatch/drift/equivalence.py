"""equivalence: has this model moved away from that one, or is it shown to have stayed?

A fixed-sample test between two models, for the gate before a release. "No alert" would not show that a model stayed
where it was; here staying is what must be shown, and too little data ends in neither.

The unit is the item, one of those that could have been asked: the claim is about their population, not about the
bank (its own shift is `magnitude`, exactly). All that is known of an item's change is that it lies in [−1, 1], so both
claims are bets on bounded figures (`bounded`), which hold whatever the distribution. That has a price: where a tenth of
the items moves by 1, ten items miss all of those with probability 0.35, so with fewer than 30 items no test can show
that the mean stayed within 0.10 at α = 0.05.

Shape letters: N items, S stances, C stakes.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.bounded import STAKES_C, WEIGHTS_C, mean_bounds
from driftwatch.stance import Probs, Stance

Decision = Literal["within", "drifted", "unresolved"]

MIN_ITEMS = 5  # below, the interval is nearly all that is possible
POWER = 0.9  # of the plan: a model that did not move is shown to have stayed nine times out of ten


@dataclass(frozen=True, slots=True)
class TopicComparison:
    """Two models on one topic, by one probe.

    Attributes:
        decision: "within": every stance's interval lies inside the tolerance. "drifted": one lies outside, at the level
            that all topics, probes and stances share.
        magnitude: Change per stance, candidate less baseline; `None` with the reason in `why`.
        lower: Lower ends of the intervals at level 1 − 2 α, which show equivalence at α; `None` with few items.
        upper: Upper ends.
        num_items: Items measured on both sides.
        items_needed: Where unresolved: how many items like these would settle it; `None` where no number would.
        resolvable: The smallest tolerance that so many items would have been within; `None` with few items.
        max_drift: The tolerance that it was held against.
        why: Why nothing could be decided; `None` otherwise.
    """

    topic: str
    probe: str
    decision: Decision
    magnitude: Probs | None
    lower: Probs | None
    upper: Probs | None
    num_items: int
    items_needed: int | None
    max_drift: float
    why: str | None = None
    resolvable: float | None = None


def compare_models(
    baseline: Sequence[Stance],
    candidate: Sequence[Stance],
    *,
    max_drift: float | Mapping[str, float] = 0.10,
    alpha: float = 0.05,
    topics: Collection[str] | None = None,
) -> list[TopicComparison]:
    """Whether each topic's stance shares stayed within a tolerance.

    "All within" is wrong with probability at most α if any stance of any topic moved beyond the tolerance, since all
    of them must pass (an intersection-union test needs no correction). "Any drifted" is wrong with probability at
    most α if none
    did: α is divided by the number of topics, probes and stances.

    Args:
        baseline: Stances with probabilities, as `calibration.calibrated` gives them.
        candidate: The same items asked of the other model, under the same calibration.
        max_drift: Tolerated change of each stance's share, in (0, 1); or by topic, for all that are compared.
        alpha: Probability of either wrong claim, in (0, 0.5).
        topics: Which to compare; `None` for all.

    Raises:
        ValueError: A tolerance or an α that cannot be meant.
    """
    if not all(0 < x < 1 for x in (max_drift.values() if isinstance(max_drift, Mapping) else [max_drift])):
        raise ValueError(f"max_drift is a change of a share, expected in (0, 1), found {max_drift}.")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is a probability of a wrong claim, expected in (0, 0.5), found {alpha}.")
    before = {(s.topic, s.probe, s.item): s for s in baseline}
    groups: dict[tuple[str, str], list[tuple[Probs | None, Probs | None]]] = {}
    for stance in candidate:
        if topics is None or stance.topic in topics:
            earlier = before.get((stance.topic, stance.probe, stance.item))
            groups.setdefault((stance.topic, stance.probe), []).append(
                (earlier.probs if earlier else None, stance.probs)
            )
    shared = alpha / max(3 * len(groups), 1)
    found = []
    for (topic, probe), pairs in groups.items():
        tolerated = max_drift[topic] if isinstance(max_drift, Mapping) else max_drift
        found.append(_compared(topic, probe, pairs, tolerated, alpha, shared))
    return found


def decide(comparisons: Sequence[TopicComparison]) -> Decision:
    """One decision for the model: drifted if any topic did, within if all are, else unresolved (also for no topic)."""
    decisions = {comparison.decision for comparison in comparisons}
    if "drifted" in decisions:
        return "drifted"
    return "within" if decisions == {"within"} else "unresolved"


def _compared(
    topic: str,
    probe: str,
    pairs: list[tuple[Probs | None, Probs | None]],
    max_drift: float,
    alpha: float,
    shared_alpha: float,
) -> TopicComparison:
    change_NS = np.array([np.subtract(now, before) for before, now in pairs if before is not None and now is not None])
    num_items = len(change_NS)
    if num_items < MIN_ITEMS:
        why = f"{num_items} of {len(pairs)} items measured on both sides; {fewest_items(max_drift, alpha)} are needed"
        magnitude = Probs(*change_NS.mean(0).tolist()) if num_items else None
        return TopicComparison(topic, probe, "unresolved", magnitude, None, None, num_items, None, max_drift, why)
    lower_S, upper_S = mean_bounds(change_NS, alpha)
    surely_lower_S, surely_upper_S = mean_bounds(change_NS, shared_alpha)
    decision: Decision = "unresolved"
    if (surely_lower_S > max_drift).any() or (surely_upper_S < -max_drift).any():
        decision = "drifted"
    elif (lower_S > -max_drift).all() and (upper_S < max_drift).all():
        decision = "within"
    needed = _items_needed(change_NS, max_drift, alpha, shared_alpha) if decision == "unresolved" else None
    magnitude, lower, upper = (Probs(*values.tolist()) for values in (change_NS.mean(0), lower_S, upper_S))
    resolvable = float(max(upper_S.max(), -lower_S.min()))
    return TopicComparison(
        topic, probe, decision, magnitude, lower, upper, num_items, needed, max_drift, resolvable=resolvable
    )


def fewest_items(max_drift: float, alpha: float) -> int:
    """Items without which nobody can show that a mean of figures in [−1, 1] stayed within a tolerance: if none moves.

    >>> fewest_items(0.10, 0.05)
    30
    """
    return math.floor(math.log(alpha * WEIGHTS_C[0]) / math.log1p(-max_drift)) + 1


def _items_needed(change_NS: NDArray[np.float64], max_drift: float, alpha: float, shared_alpha: float) -> int | None:
    """Items like these that would settle it; `None` where none would, as the change seems to be the tolerance itself.

    A bet grows by its mean logarithm an item, more or less; the number is that at which it grows enough nine times out
    of ten, the better of both claims.
    """
    within = [_items_for(sign * column, max_drift, alpha) for column in change_NS.T for sign in (1, -1)]
    claims = [None if None in within else max(n for n in within if n is not None)]
    # Away from the tolerance the same bet is on the other side of it: the mean of −x is below −tolerance.
    claims += [_items_for(-sign * column, -max_drift, shared_alpha) for column in change_NS.T for sign in (1, -1)]
    known = [number for number in claims if number is not None]
    return max(min(known), len(change_NS) + 1) if known else None


def _items_for(change_N: NDArray[np.float64], bound: float, alpha: float) -> int | None:
    """Items like these that show a mean below `bound`; `None` where the mean of these is not, or no stake grows."""
    with np.errstate(divide="ignore"):
        logs_CN = np.log1p(STAKES_C[:, None] * ((1 - change_N) / (1 - bound) - 1))
    best: int | None = None
    z = NormalDist().inv_cdf((1 + POWER) / 2)  # either end may miss
    for logs_N, weight in zip(logs_CN, WEIGHTS_C, strict=True):
        if not np.isfinite(logs_N).all() or logs_N.mean() <= 0:
            continue
        growth, spread, stake = logs_N.mean(), logs_N.std(ddof=1), -math.log(alpha * weight)
        # n growth − z √n spread = stake
        root = (z * spread + math.sqrt((z * spread) ** 2 + 4 * growth * stake)) / (2 * growth)
        number = math.floor(root**2) + 1
        best = number if best is None else min(best, number)
    return best
