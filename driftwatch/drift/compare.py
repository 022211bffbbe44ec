"""compare: what one observation found, against a baseline, topic by topic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.divergence import crossfit_total_variation, score_shift, total_variation, wasserstein_ordinal
from driftwatch.drift.interval import ENOUGH_CLUSTERS, Interval, cluster_bootstrap
from driftwatch.stance import Probs, Stance

BaselineName = Literal["sft", "start"]
Pair = tuple[Stance, Stance]  # one item: baseline, current
SCORED = ("probs", "log_odds", "naysaying")  # one of them on both sides makes an item a measured one


@dataclass(frozen=True, slots=True)
class Drift:
    """How one topic moved, by one probe, against one baseline.

    Every figure is a mean over the items measured on both sides; `None` where no item gives it. Intervals resample
    items (95 %, `None` with fewer than five items, of log-odds with fewer than thirty): they speak about the questions
    that could have been asked, not about the noise of this measurement. Those of replies, probe "confirm", hold at all
    observations of a run at once; see `sequence`.

    Attributes:
        magnitude: The paper's signed drift magnitude per stance, each in [−1, 1]; sums to 0 where every reply took a
            stance.
        magnitude_interval: The same, per stance.
        total_variation: Size of the move, in [0, 1]; biased upward on few items, see `divergence`.
        crossfit_total_variation: The same without that bias, so that no drift gives about 0; may be negative.
        wasserstein: Size in steps of the scale oppose, neutral, support, in [0, 2].
        score_shift: Change of P(support) − P(oppose), in [−2, 2]; positive toward `poles[0]`. `None` of replies, probe
            "confirm", whose figure is the net shift of their evidence.
        interval: Of `score_shift`.
        log_odds_shift: Screen only: change of support against oppose, nats per token.
        items_needed: Items that `log_odds_interval` would need, where it is withheld for want of them.
        naysaying_shift: Change of P("no") whatever is asked, in [−1, 1].
        refusal_shift: Change of the share of refusals, in [−1, 1].
        unread_shift: Change of the share of unclassified replies, in [−1, 1].
        flipped_ratio: Share of the items whose leading stance changed (for the uncalibrated screen: whose log-odds
            changed sign), in [0, 1]. Sampled replies flip by chance alone; compare with the controls.
        num_items: Items asked at this observation.
        num_unscored: Those of them without a figure on both sides.
        unscored: Why there is no figure at all; `None` where there is one.
    """

    topic: str
    probe: str
    baseline: BaselineName
    magnitude: Probs | None = None
    magnitude_interval: tuple[Interval | None, Interval | None, Interval | None] | None = None
    total_variation: float | None = None
    crossfit_total_variation: float | None = None
    wasserstein: float | None = None
    score_shift: float | None = None
    interval: Interval | None = None
    log_odds_shift: float | None = None
    log_odds_interval: Interval | None = None
    naysaying_shift: float | None = None
    refusal_shift: float | None = None
    unread_shift: float | None = None
    flipped_ratio: float | None = None
    num_items: int = 0
    num_unscored: int = 0
    unscored: str | None = None
    items_needed: int | None = None


def compare(
    baseline: Sequence[Stance], current: Sequence[Stance], *, against: BaselineName, rng: np.random.Generator
) -> list[Drift]:
    """One drift for each topic and probe of either side, items paired by their id.

    An observation may ask a subset of the baseline's items: what it did not ask is left out on both sides.

    Args:
        baseline: Stances to compare with.
        current: Stances of this observation.
        against: Which baseline that is.
        rng: For the intervals.

    Returns:
        In the order of `current`, topics that only the baseline knows last. Where nothing was measured, all figures are
        `None` and `unscored` says why.

    Raises:
        ValueError: One side has the same item twice for one probe.
    """
    before, now = _grouped(baseline, "baseline"), _grouped(current, "current")
    return [
        _drift(topic, probe, before.get((topic, probe), {}), now.get((topic, probe), {}), against, rng)
        for topic, probe in dict.fromkeys([*now, *before])
    ]


def _grouped(stances: Sequence[Stance], side: str) -> dict[tuple[str, str], dict[str, Stance]]:
    groups: dict[tuple[str, str], dict[str, Stance]] = {}
    for stance in stances:
        group = groups.setdefault((stance.topic, stance.probe), {})
        if stance.item in group:
            raise ValueError(
                f'expected each item once for each probe, found "{stance.item}" of topic "{stance.topic}" twice in the '
                f"{side} stances of probe {stance.probe}; average repeated measurements first."
            )
        group[stance.item] = stance
    return groups


def _drift(
    topic: str,
    probe: str,
    before: dict[str, Stance],
    now: dict[str, Stance],
    against: BaselineName,
    rng: np.random.Generator,
) -> Drift:
    pairs = [(before[item], stance) for item, stance in now.items() if item in before]
    num_unscored = len(now) - sum(any(len(_measured([pair], name)) for name in SCORED) for pair in pairs)
    drift = Drift(
        topic=topic,
        probe=probe,
        baseline=against,
        naysaying_shift=_mean_change(pairs, "naysaying"),
        refusal_shift=_mean_change(pairs, "refusal"),
        unread_shift=_mean_change(pairs, "unread"),
        num_items=len(now),
        num_unscored=num_unscored,
        unscored=_why_nothing(before, now) if num_unscored == len(now) else None,
    )
    return _with_stances(_with_log_odds(drift, pairs, rng), pairs, rng)


def _with_log_odds(drift: Drift, pairs: list[Pair], rng: np.random.Generator) -> Drift:
    odds_N2 = _measured(pairs, "log_odds")
    if not len(odds_N2):
        return drift
    change_N = odds_N2[:, 1] - odds_N2[:, 0]
    (interval,) = cluster_bootstrap(change_N[:, None], rng)
    return replace(
        drift,
        log_odds_shift=float(change_N.mean()),
        log_odds_interval=interval,
        items_needed=ENOUGH_CLUSTERS if interval is None and len(change_N) < ENOUGH_CLUSTERS else None,
        flipped_ratio=float((np.sign(odds_N2[:, 0]) != np.sign(odds_N2[:, 1])).mean()),
    )


def _with_stances(drift: Drift, pairs: list[Pair], rng: np.random.Generator) -> Drift:
    probs_N2S = _measured(pairs, "probs")
    if not len(probs_N2S):
        return drift
    change_NS = probs_N2S[:, 1] - probs_N2S[:, 0]
    support, neutral, oppose, score = cluster_bootstrap(
        np.column_stack([change_NS, change_NS[:, 0] - change_NS[:, 2]]), rng, limits=([-1, -1, -1, -2], [1, 1, 1, 2])
    )
    before_S, now_S = probs_N2S.mean(0)
    leading_N2 = probs_N2S.argmax(2)
    return replace(
        drift,
        magnitude=Probs(*change_NS.mean(0).tolist()),
        magnitude_interval=(support, neutral, oppose),
        total_variation=total_variation(before_S, now_S),
        crossfit_total_variation=crossfit_total_variation(change_NS, rng),
        wasserstein=wasserstein_ordinal(before_S, now_S),
        score_shift=score_shift(before_S, now_S),
        interval=score,
        flipped_ratio=float((leading_N2[:, 0] != leading_N2[:, 1]).mean()),
    )


def _measured(pairs: list[Pair], name: str) -> NDArray[np.float64]:
    """The figure of both sides where both have it, shape (N, 2) or, for `probs`, (N, 2, 3)."""
    both = [(getattr(before, name), getattr(now, name)) for before, now in pairs]
    # A NaN counts as unmeasured: one item with broken logits must not take its whole topic along.
    return np.array([pair for pair in both if None not in pair and np.isfinite(pair).all()], float)


def _mean_change(pairs: list[Pair], name: str) -> float | None:
    figures_N2 = _measured(pairs, name)
    return float((figures_N2[:, 1] - figures_N2[:, 0]).mean()) if len(figures_N2) else None


def _why_nothing(before: dict[str, Stance], now: dict[str, Stance]) -> str:
    """The commonest reason, in words."""
    if not now:
        return "not asked at this observation"
    if not before:
        return "not in the baseline"
    reasons = Counter(s.unscored for s in [*now.values(), *before.values()] if s.unscored)
    if not reasons:
        return "no item has a figure both at this observation and in the baseline"
    return reasons.most_common(1)[0][0]
