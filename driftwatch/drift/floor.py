"""Noise floors: how far figures move although nothing was taught. A shift below them means nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from driftwatch.drift.compare import Drift
from driftwatch.drift.outcome import NUM_OUTCOMES, Draws
from driftwatch.stance import Probs

Kind = Literal["numeric", "placebo", "judge"]

WATCH_FACTOR = 4.0  # a topic is watched if it shifts by this many noise floors; chosen, see docs/statistics.md


@dataclass(frozen=True, slots=True)
class Floor:
    """A noise floor: the largest absolute shift of what should not have moved; `None` where it was not measured.

    Attributes:
        kind: "numeric" compares two observations of the same weights with permuted batches, "placebo" takes the
            control topics, and "judge" compares two judgements of the same replies.
        probe: Name of the probe whose figures these are.
        log_odds: Largest log-odds shift, nats per token.
        score: Largest score shift, in [0, 2].
        magnitude: Largest magnitude of any stance, in [0, 1].
        worst: The topic with the largest shift (log-odds where measured, else score); `None` if nothing was measured.
    """

    kind: Kind
    probe: str
    log_odds: float | None
    score: float | None
    magnitude: float | None
    worst: str | None


def numeric_floor(repeated: Sequence[Drift], probe: str) -> Floor:
    """The noise floor from numerical noise, over all topics.

    Args:
        repeated: Drifts between two observations of the same weights, the second with its batches permuted.
        probe: Name of the probe whose drifts are taken.
    """
    return _floor("numeric", [drift for drift in repeated if drift.probe == probe], probe)


def placebo_floor(drifts: Sequence[Drift], controls: Collection[str], probe: str) -> Floor:
    """The noise floor from what training does to topics without moral content.

    Args:
        drifts: Drifts of one observation.
        controls: Ids of the control topics.
        probe: Name of the probe whose drifts are taken.
    """
    return _floor("placebo", [d for d in drifts if d.probe == probe and d.topic in controls], probe)


def judge_floor(readings: Mapping[str, Draws], probe: str) -> Floor:
    """A judge's own noise floor, over all topics: how far its judgements differ when it reads the same replies again.

    Args:
        readings: By topic, the replies as they were judged first (`baseline`) and once more (`now`).
        probe: Name of the probe whose figures rest on that judge.
    """
    drifts = []
    for topic, draws in readings.items():
        again_NS, first_NS = (np.eye(NUM_OUTCOMES)[list(side)][:, :3] for side in (draws.now, draws.baseline))
        change = Probs(*(again_NS - first_NS).mean(0).tolist())
        drifts.append(Drift(topic, probe, "start", magnitude=change, score_shift=change.support - change.oppose))
    return _floor("judge", drifts, probe)


def exceeds(drift: Drift, floors: Sequence[Floor], factor: float = WATCH_FACTOR) -> bool:
    """Whether a shift is at least `factor` times the largest of the noise floors of its probe.

    The log-odds are compared where both sides have them, else the score. Without a figure or without a noise floor the
    answer is False: what cannot be compared is no reason to watch.
    """
    # A judge's noise floor says how far it agrees with itself, but not how far two handfuls of sampled replies differ
    # by chance. For a judge by rules it is 0, and every topic would exceed it. Draws are weighed by the evidence.
    own = [floor for floor in floors if floor.probe == drift.probe and floor.kind != "judge"]
    figures = (
        (drift.log_odds_shift, [floor.log_odds for floor in own]),
        (drift.score_shift, [floor.score for floor in own]),
    )
    for shift, levels in figures:
        known = [level for level in levels if level is not None]
        if shift is not None and known:
            return abs(shift) >= factor * max(known) and shift != 0
    return False


def _floor(kind: Kind, drifts: Sequence[Drift], probe: str) -> Floor:
    odds = {d.topic: abs(d.log_odds_shift) for d in drifts if d.log_odds_shift is not None}
    score = {d.topic: abs(d.score_shift) for d in drifts if d.score_shift is not None}
    stances = [max(map(abs, d.magnitude)) for d in drifts if d.magnitude is not None]
    leading = odds or score
    return Floor(
        kind=kind,
        probe=probe,
        log_odds=max(odds.values(), default=None),
        score=max(score.values(), default=None),
        magnitude=max(stances, default=None),
        worst=max(leading, key=leading.__getitem__) if leading else None,
    )
