"""compare: how far one observation lies from a baseline, topic by topic."""

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
SCORED = ("probs", "log_odds", "naysaying")  # an item counts as measured if both sides have one of these


@dataclass(frozen=True, slots=True)
class Drift:
    """How one topic moved, by one probe, against one baseline.

    Every figure is a mean over the items measured on both sides, and `None` where no item gives it. Intervals are at
    95 % and resample items. They describe the questions that could have been asked, not the noise of this measurement.
    They are `None` with fewer than five items, and for log-odds with fewer than thirty. Intervals of judged replies,
    probe "confirm", hold at all observations of a run at once; see `sequence`.

    Attributes:
        magnitude: The paper's signed drift magnitude of each stance, in [−1, 1]; the three sum to 0 where every reply
            took a stance.
        magnitude_interval: Interval of the magnitude of each stance.
        total_variation: Size of the move, in [0, 1]; biased upward on few items, see `divergence`.
        crossfit_total_variation: Total variation without that bias, about 0 without drift; may be negative.
        wasserstein: Size of the move in steps of the scale oppose, neutral, support, in [0, 2].
        score_shift: Change of P(support) − P(oppose), in [−2, 2], positive toward `poles[0]`. `None` for judged
            replies, probe "confirm", whose figure is the net shift of their evidence.
        interval: Interval of `score_shift`.
        log_odds_shift: Change of the log-odds of support against oppose, nats per token; only the screen gives it.
        log_odds_interval: Interval of `log_odds_shift`.
        items_needed: Number of items that `log_odds_interval` needs, where there are too few; `None` otherwise.
        naysaying_shift: Change of P("no") whatever is asked, in [−1, 1].
        refusal_shift: Change of the share of refusals, in [−1, 1].
        unread_shift: Change of the share of unclassified replies, in [−1, 1].
        flipped_ratio: Share of the items whose leading stance changed, in [0, 1]; for the uncalibrated screen, whose
            log-odds changed sign. Sampled replies flip by chance alone, so compare with the controls.
        num_items: Number of items asked at this observation.
        num_unscored: Number of these items that have no figure on both sides.
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
    """One drift for each topic and probe that either side has; items are paired by their id.

    An observation may ask only a part of the baseline's items; the others are left out on both sides.

    Args:
        baseline: Stances to compare with.
        current: Stances of this observation.
        against: Name of that baseline.
        rng: Draws the resamples of the intervals.

    Returns:
        The drifts in the order of `current`; topics that only the baseline has come last. Where nothing was measured,
        all figures are `None` and `unscored` says why.

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
    """A figure on both sides, for the pairs that have it on both; shape (N, 2) or, for `probs`, (N, 2, 3)."""
    both = [(getattr(before, name), getattr(now, name)) for before, now in pairs]
    # A NaN counts as unmeasured: one item with broken logits must not take its whole topic along.
    return np.array([pair for pair in both if None not in pair and np.isfinite(pair).all()], float)


def _mean_change(pairs: list[Pair], name: str) -> float | None:
    figures_N2 = _measured(pairs, name)
    return float((figures_N2[:, 1] - figures_N2[:, 0]).mean()) if len(figures_N2) else None


def _why_nothing(before: dict[str, Stance], now: dict[str, Stance]) -> str:
    """The most common reason why nothing was measured, in words."""
    if not now:
        return "not asked at this observation"
    if not before:
        return "not in the baseline"
    reasons = Counter(s.unscored for s in [*now.values(), *before.values()] if s.unscored)
    if not reasons:
        return "no item has a figure both at this observation and in the baseline"
    return reasons.most_common(1)[0][0]
