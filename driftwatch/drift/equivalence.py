"""equivalence: has this model moved away from another one, or is it shown to have stayed?

This is a test of fixed sample size between two models, for the gate before a release. The absence of an alert would
not show that a model stayed where it was. Here it must be shown that the model stayed; too little data shows neither.

The unit is the item. The claim is about the population of items that could have been asked, not about the bank alone,
whose own shift is known exactly (`magnitude`). We know of an item's change only that it lies in [−1, 1], so both claims
are bets on bounded figures (`bounded`), which hold whatever the distribution. That has a price. Where a tenth of the
items moves by 1, a sample of ten items misses all of these with probability 0.35; with fewer than 30 items no test can
show that the mean stayed within 0.10 at α = 0.05.

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

MIN_ITEMS = 5  # with fewer, the interval excludes next to nothing
POWER = 0.9  # for planning: a model that did not move is shown to have stayed nine times out of ten


@dataclass(frozen=True, slots=True)
class TopicComparison:
    """The comparison of two models on one topic, by one probe.

    Attributes:
        decision: "within" if every stance's interval lies inside the tolerance; "drifted" if one lies outside, at the
            level that all topics, probes and stances share; "unresolved" otherwise.
        magnitude: Change of each stance's share, candidate less baseline; `None` where no item was measured on both
            sides.
        lower: Lower ends of the intervals at level 1 − 2 α, which show equivalence at α; `None` with too few items.
        upper: Upper ends of the same intervals.
        num_items: Number of items measured on both sides.
        items_needed: Number of items like these that would settle an unresolved comparison; `None` where no number
            would, and where nothing is unresolved.
        resolvable: The smallest tolerance that this comparison would have been within; `None` with too few items.
        max_drift: The tolerance that was applied.
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

    If any stance of any topic moved beyond the tolerance, "all within" is claimed with probability α at most: all of
    them must pass, and such an intersection-union test needs no correction. If none moved beyond it, "any drifted" is
    claimed with probability α at most: α is divided by the number of topics, probes and stances.

    Args:
        baseline: Stances with probabilities, as `calibration.calibrated` gives them.
        candidate: Stances of the other model on the same items, under the same calibration.
        max_drift: Tolerated change of each stance's share, in (0, 1): one number, or one for each compared topic.
        alpha: Probability of each of the two wrong claims, in (0, 0.5).
        topics: Ids of the topics to compare; `None` means all.

    Raises:
        ValueError: A tolerance or α lies outside its range.
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
    """One decision for the model: drifted if any topic is, within if all are, else unresolved (also without topics)."""
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
    """The fewest items that can show that a mean of figures in [−1, 1] stayed within a tolerance, if none moved.

    >>> fewest_items(0.10, 0.05)
    30
    """
    return math.floor(math.log(alpha * WEIGHTS_C[0]) / math.log1p(-max_drift)) + 1


def _items_needed(change_NS: NDArray[np.float64], max_drift: float, alpha: float, shared_alpha: float) -> int | None:
    """How many items like these would settle it; `None` where no number would, the change being near the tolerance.

    A bet grows by about its mean logarithm per item. The result is the number of items at which a bet has grown enough
    nine times out of ten, for whichever of the two claims needs fewer.
    """
    within = [_items_for(sign * column, max_drift, alpha) for column in change_NS.T for sign in (1, -1)]
    claims = [None if None in within else max(n for n in within if n is not None)]
    # The claim of drift is the same bet on the other side of the tolerance: the mean of −x is below −tolerance.
    claims += [_items_for(-sign * column, -max_drift, shared_alpha) for column in change_NS.T for sign in (1, -1)]
    known = [number for number in claims if number is not None]
    return max(min(known), len(change_NS) + 1) if known else None


def _items_for(change_N: NDArray[np.float64], bound: float, alpha: float) -> int | None:
    """How many items like these show a mean below `bound`; `None` where their mean is not, or no stake grows."""
    with np.errstate(divide="ignore"):
        logs_CN = np.log1p(STAKES_C[:, None] * ((1 - change_N) / (1 - bound) - 1))
    best: int | None = None
    z = NormalDist().inv_cdf((1 + POWER) / 2)  # two-sided, since either end may miss
    for logs_N, weight in zip(logs_CN, WEIGHTS_C, strict=True):
        if not np.isfinite(logs_N).all() or logs_N.mean() <= 0:
            continue
        growth, spread, stake = logs_N.mean(), logs_N.std(ddof=1), -math.log(alpha * weight)
        # n growth − z √n spread = stake
        root = (z * spread + math.sqrt((z * spread) ** 2 + 4 * growth * stake)) / (2 * growth)
        number = math.floor(root**2) + 1
        best = number if best is None else min(best, number)
    return best
