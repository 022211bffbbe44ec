"""Levels: a topic's shares over the whole bank, estimated from an observation that asked only a part of it.

Items differ from each other far more than a topic moves. If an observation asks other items than the one before it, the
plain mean therefore jumps although the model stands still. What is shown instead is the baseline's level over the whole
bank plus the paired shift of the items that were asked: the difference estimator of survey sampling (Cochran 1977,
section 7.2, with slope 1). Where every item was asked, this is the plain mean.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.interval import cluster_bootstrap
from driftwatch.drift.shares import TopicStance, topic_stances
from driftwatch.stance import Probs, Stance

Floats = NDArray[np.float64]


def whole_bank_levels(now: Sequence[Stance], baseline: Sequence[Stance], rng: np.random.Generator) -> list[TopicStance]:
    """The shares of each topic and probe, adjusted for the items that this observation did not ask.

    Args:
        now: Stances of this observation; those of the screen are calibrated.
        baseline: Stances of the alerting baseline, on the same scale.
        rng: Draws the resamples of the intervals.

    Returns:
        What `shares.topic_stances` returns; `num_missing` says how many items the adjustment stands for.
    """
    before = _by_topic(baseline)
    asked = _by_topic(now)
    return [
        _adjusted(share, asked[share.topic, share.probe], before.get((share.topic, share.probe), {}), rng)
        for share in topic_stances(now, rng)
    ]


def _by_topic(stances: Sequence[Stance]) -> dict[tuple[str, str], dict[str, Stance]]:
    groups: dict[tuple[str, str], dict[str, Stance]] = {}
    for stance in stances:
        groups.setdefault((stance.topic, stance.probe), {})[stance.item] = stance
    return groups


def _adjusted(
    share: TopicStance, now: dict[str, Stance], before: dict[str, Stance], rng: np.random.Generator
) -> TopicStance:
    missing = [item for item in before if item not in now]
    if not missing or share.probs is None:
        return share
    whole_NS = np.array([s.probs for s in before.values() if s.probs is not None], float)
    both = [(before[i].probs, s.probs) for i, s in now.items() if i in before]
    change_NS = np.array([np.subtract(b, a) for a, b in both if a is not None and b is not None], float)
    if not len(whole_NS) or not len(change_NS):
        return share
    level_S = _valid(whole_NS.mean(0) + change_NS.mean(0))
    lower, upper = _ends(level_S, whole_NS, change_NS, rng)
    return replace(
        share,
        probs=Probs(*level_S.tolist()),
        lower=lower,
        upper=upper,
        log_odds=_single("log_odds", now, before, share.log_odds),
        naysaying=_single("naysaying", now, before, share.naysaying),
        refusal=_single("refusal", now, before, share.refusal),
        unread=_single("unread", now, before, share.unread),
        num_missing=len(missing),
    )


def _valid(level_S: Floats) -> Floats:
    """The level clipped to [0, 1] with its sum kept, for a shift that would take a share below 0."""
    clipped = np.clip(level_S, 0.0, 1.0)
    return np.asarray(clipped * (level_S.sum() / clipped.sum()) if clipped.sum() > 0 else clipped)


def _ends(
    level_S: Floats, whole_NS: Floats, change_NS: Floats, rng: np.random.Generator
) -> tuple[Probs | None, Probs | None]:
    """Ends of the intervals, from two spreads that count as independent: of the bank's items, and of the shifts."""
    ends = [
        cluster_bootstrap(values, rng, limits=limits)
        for values, limits in ((whole_NS, (0.0, 1.0)), (change_NS, (-1.0, 1.0)))
    ]
    lower, upper = [], []
    for s, (bank, shift) in enumerate(zip(*ends, strict=True)):
        if bank is None or shift is None:
            return None, None
        means = whole_NS[:, s].mean(), change_NS[:, s].mean()
        down = math.hypot(means[0] - bank.lower, means[1] - shift.lower)
        up = math.hypot(bank.upper - means[0], shift.upper - means[1])
        lower.append(max(0.0, float(level_S[s]) - down))
        upper.append(min(1.0, float(level_S[s]) + up))
    return Probs(*lower), Probs(*upper)


def _single(name: str, now: dict[str, Stance], before: dict[str, Stance], plain: float | None) -> float | None:
    whole = [figure for s in before.values() if (figure := getattr(s, name)) is not None]
    pairs = [(getattr(before[i], name), getattr(s, name)) for i, s in now.items() if i in before]
    change = [b - a for a, b in pairs if a is not None and b is not None]
    return float(np.mean(whole) + np.mean(change)) if whole and change else plain
