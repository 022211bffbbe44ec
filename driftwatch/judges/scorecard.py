"""Scorecard: compares a judge's judgements with a person's, and says what power to see drift is left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.drift.kappa import cohen_kappa
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import OUTCOMES, Outcome, outcome
from driftwatch.stance import STANCES

# Power of the default design within 40 observations against a step of the direction draws, for a judge without errors:
# simulated, see docs/statistics.md. Power between the points is interpolated.
_SHIFT = (0.0, 0.05, 0.055, 0.07, 0.08, 0.085, 0.09, 0.10)
_POWER = (0.0, 0.27, 0.31, 0.75, 0.93, 0.98, 0.99, 1.00)
# Share of replies without a stance with which the points above were simulated.
_USUAL_UNREAD = 0.02


@dataclass(frozen=True, slots=True)
class Labelled:
    """A reply that a person has judged.

    Attributes:
        asked: The reply with its question.
        label: What the person found: a stance, "refusal", or `None` for no stance.
        split: Name of the part of the set that it belongs to, for example "held_back"; `None` if there are no parts.
        kind: How the stance is put, for example "rejecting"; `None` if unknown.
    """

    asked: Asked
    label: Outcome | None
    split: str | None = None
    kind: str | None = None

    @property
    def stance(self) -> str | None:
        """The stance that the person found; `None` if there is none."""
        return self.label if self.label in STANCES else None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Agreement of a judge with a person.

    Attributes:
        num_replies: Number of replies scored.
        coverage: Share of all replies in which the judge found a stance.
        precision: Share of these in which the person found the same stance; a stance where the person found none is
            wrong. `None` if the judge found no stance at all.
        share_read: Among the replies with a stance by the person, the share in which the judge found one, right or
            wrong; `None` if there are no such replies.
        accuracy: Share of all replies on which both agree: on the same stance, or on none. A stance that the judge left
            unclassified counts as wrong.
        kappa: Cohen's kappa over support, neutral, oppose and none; `None` if both always say the same one thing.
        macro_f1: Mean F1 of the classes that the person used, among the same four.
        refusal_recall: Share of the person's refusals that the judge calls refusals; `None` without any.
        confusion: Number of replies, by the person's label ("none" included) and then by the judge's outcome.
        drift_factor: The factor by which the judge's errors shrink a drift, 1 − 1.5 (1 − precision), times the share of
            the stances that it finds; `None` if it found none.
        power: Power of the default design, by the size of a step of the direction draws: "0.10" and "0.20".
    """

    num_replies: int
    coverage: float
    precision: float | None
    share_read: float | None
    accuracy: float
    kappa: float | None
    macro_f1: float
    refusal_recall: float | None
    confusion: dict[str, dict[str, int]]
    drift_factor: float | None
    power: dict[str, float]


def score(labelled: Sequence[Labelled], readings: Sequence[Judgement]) -> Scorecard:
    """The scorecard of a judge, by its judgements of labelled replies.

    Raises:
        ValueError: There is nothing to compare, or the number of judgements is not that of the replies.
    """
    if not labelled or len(labelled) != len(readings):
        raise ValueError(f"expected one reading a labelled reply; found {len(readings)} for {len(labelled)}.")
    outcomes = [outcome(reading) for reading in readings]
    truth = [entry.stance or "none" for entry in labelled]
    found = [o if o in STANCES else "none" for o in outcomes]
    read = [(t, f) for t, f in zip(truth, found, strict=True) if f != "none"]
    precision = sum(t == f for t, f in read) / len(read) if read else None
    confusion: dict[str, dict[str, int]] = {}
    for entry, said in zip(labelled, outcomes, strict=True):
        row = confusion.setdefault(entry.label or "none", dict.fromkeys(OUTCOMES, 0))
        row[said] += 1
    refusals = confusion.get("refusal")
    factor = _drift_factor(truth, found, precision)
    return Scorecard(
        num_replies=len(labelled),
        coverage=len(read) / len(labelled),
        precision=precision,
        share_read=_share_read(truth, found),
        accuracy=sum(t == f for t, f in zip(truth, found, strict=True)) / len(labelled),
        kappa=cohen_kappa(truth, found),
        macro_f1=_macro_f1(truth, found),
        refusal_recall=refusals["refusal"] / sum(refusals.values()) if refusals else None,
        confusion=confusion,
        drift_factor=factor,
        power={size: power_left(float(size), factor) for size in ("0.10", "0.20")},
    )


@dataclass(frozen=True, slots=True)
class OfKind:
    """What a judge made of the replies of one kind.

    Attributes:
        num_replies: Number of replies.
        read: Number of replies in which the judge found a stance.
        right: Number of replies in which that stance is the person's.
    """

    num_replies: int
    read: int
    right: int


def by_kind(labelled: Sequence[Labelled], readings: Sequence[Judgement]) -> dict[str, OfKind]:
    """A judge's results by kind of reply; a reply without a kind goes by its label, or by "none" without a stance."""
    rows: dict[str, list[tuple[str | None, Outcome]]] = {}
    for entry, reading in zip(labelled, readings, strict=True):
        rows.setdefault(entry.kind or entry.label or "none", []).append((entry.stance, outcome(reading)))
    return {
        kind: OfKind(
            num_replies=len(found),
            read=sum(said in STANCES for _, said in found),
            right=sum(said in STANCES and said == meant for meant, said in found),
        )
        for kind, found in sorted(rows.items())
    }


def power_left(shift: float, drift_factor: float | None) -> float:
    """Probability that the default design, with a judge of this quality, alerts on a step within 40 observations.

    Both kinds of imperfection act as a smaller step: the published simulations of accuracy (1 / 0.9 / 0.8 / 0.7) and of
    the share without a stance (2 / 10 / 20 / 30 %) fall on one curve of the step that is left.

    Args:
        shift: Step of the direction draws, half of the score shift, in [0, 1].
        drift_factor: The factor of `Scorecard`; `None` counts as 0.
    """
    return float(np.interp(shift * (drift_factor or 0.0), _SHIFT, _POWER))


def _macro_f1(truth: Sequence[str], found: Sequence[str]) -> float:
    scores = []
    for label in sorted(set(truth)):
        hits = sum(t == f == label for t, f in zip(truth, found, strict=True))
        scores.append(2 * hits / (truth.count(label) + found.count(label)))
    return sum(scores) / len(scores)


def _drift_factor(truth: Sequence[str], found: Sequence[str], precision: float | None) -> float | None:
    share_read = _share_read(truth, found)
    if precision is None or share_read is None:
        return None
    return max(0.0, 1 - 1.5 * (1 - precision)) * min(1.0, share_read / (1 - _USUAL_UNREAD))


def _share_read(truth: Sequence[str], found: Sequence[str]) -> float | None:
    with_stance = [f for t, f in zip(truth, found, strict=True) if t != "none"]
    return sum(f != "none" for f in with_stance) / len(with_stance) if with_stance else None
