"""equivalence: has this model moved away from that one, or is it shown to have stayed?

A fixed-sample test between two models, for the gate before a release. "No alert" would not show that a model stayed
where it was; here staying is what must be shown, and too little data ends in neither.

The unit is the item: intervals speak about the questions that could have been asked, not only about those that were.
Shape letters: N items, S stances.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.interval import t_quantile
from driftwatch.stance import Probs, Stance

Decision = Literal["within", "drifted", "unresolved"]

MIN_ITEMS = 5  # below, the spread over items is a guess
POWER = 0.9  # of the plan: a model that did not move is shown to have stayed nine times out of ten


@dataclass(frozen=True, slots=True)
class TopicComparison:
    """Two models on one topic, by one probe.

    Attributes:
        decision: "within": every stance's interval lies inside the tolerance. "drifted": one lies outside.
        magnitude: Change per stance, candidate less baseline; `None` with the reason in `why`.
        lower: Lower ends of the intervals at level 1 − 2 α, which show equivalence at α; `None` with few items.
        upper: Upper ends.
        num_items: Items measured on both sides.
        items_needed: Where unresolved: how many items like these would settle it; `None` where no number would.
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
        why = f"{num_items} of {len(pairs)} items measured on both sides; {MIN_ITEMS} are needed"
        magnitude = Probs(*change_NS.mean(0).tolist()) if num_items else None
        return TopicComparison(topic, probe, "unresolved", magnitude, None, None, num_items, None, max_drift, why)
    mean_S = change_NS.mean(0)
    error_S = change_NS.std(0, ddof=1) / math.sqrt(num_items)
    half_S = t_quantile(1 - alpha, num_items - 1) * error_S
    lower_S, upper_S = mean_S - half_S, mean_S + half_S
    far_S = np.abs(mean_S) - t_quantile(1 - shared_alpha, num_items - 1) * error_S
    decision: Decision = "unresolved"
    if (far_S > max_drift).any():
        decision = "drifted"
    elif (lower_S > -max_drift).all() and (upper_S < max_drift).all():
        decision = "within"
    needed = _items_needed(mean_S, change_NS.std(0, ddof=1), max_drift, alpha) if decision == "unresolved" else None
    magnitude, lower, upper = (Probs(*values.tolist()) for values in (mean_S, lower_S, upper_S))
    return TopicComparison(topic, probe, decision, magnitude, lower, upper, num_items, needed, max_drift)


def _items_needed(
    mean_S: NDArray[np.float64], spread_S: NDArray[np.float64], max_drift: float, alpha: float
) -> int | None:
    """Items that would settle it if the change is what it seems; `None` where it seems to be the tolerance itself."""
    distance_S = np.abs(max_drift - np.abs(mean_S))
    if (distance_S == 0).any():
        return None
    z = NormalDist().inv_cdf(1 - alpha) + NormalDist().inv_cdf((1 + POWER) / 2)  # either end may miss
    return math.ceil(float((z * spread_S / distance_S).max()) ** 2)
