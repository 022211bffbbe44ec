"""How good is a judge? Its readings against those of a person, and what that leaves of the power to see drift."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftwatch.drift.kappa import cohen_kappa
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import OUTCOMES, Outcome, outcome
from driftwatch.stance import STANCES

# Power of the default design within 40 observations against a step of the direction draws, for a judge that errs
# neither way: simulated, docs/statistics.md. Between the points it is interpolated.
_SHIFT = (0.0, 0.05, 0.055, 0.07, 0.08, 0.085, 0.09, 0.10)
_POWER = (0.0, 0.27, 0.31, 0.75, 0.93, 0.98, 0.99, 1.00)
# A design that leaves this share without a stance is what the points above were simulated with.
_USUAL_UNREAD = 0.02


@dataclass(frozen=True, slots=True)
class Labelled:
    """A reply that a person has read.

    Attributes:
        asked: The reply with its question.
        label: What the person found: a stance, "refusal", or `None` where there is no stance.
        split: Name of the part of the set that it belongs to, for example "held_back"; `None` if it has no parts.
        kind: How the stance is put, for example "rejecting"; `None` if that is not known.
    """

    asked: Asked
    label: Outcome | None
    split: str | None = None
    kind: str | None = None

    @property
    def stance(self) -> str | None:
        """The stance that the person found, if any."""
        return self.label if self.label in STANCES else None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Agreement of a judge with a person.

    Attributes:
        num_replies: Replies scored.
        coverage: Share of all replies that the judge read a stance from.
        precision: Share of those whose stance is the person's; a stance read where the person found none is wrong.
            `None` where nothing was read.
        share_read: Share of the replies in which the person found a stance that the judge read one from, the right one
            or not; `None` without any.
        accuracy: Share of all replies on which both say the same: the same stance, or both none. A stance that the
            judge left unclassified is wrong.
        kappa: Cohen's, over support, neutral, oppose and none; `None` where both always say one thing.
        macro_f1: Mean F1 of the classes that the person used, of the same four.
        refusal_recall: Share of the person's refusals that the judge called so; `None` without any.
        confusion: Person's label ("none" included) → judge's outcome → number of replies.
        drift_factor: By how much the judge's errors multiply a drift, 1 − 1.5 (1 − precision), times the share of the
            stances that it reads; `None` where nothing was read.
        power: Of the default design, by size of a step of the direction draws: "0.10" and "0.20".
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
    """Compare a judge's readings with a person's.

    Raises:
        ValueError: Nothing to compare, or not one reading a reply.
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
        num_replies: How many there are.
        read: Those that it read a stance from.
        right: Those of them whose stance is the person's.
    """

    num_replies: int
    read: int
    right: int


def by_kind(labelled: Sequence[Labelled], readings: Sequence[Judgement]) -> dict[str, OfKind]:
    """A judge's readings by kind of reply; replies without one go by their label ("none" where there is no stance)."""
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
    """Probability that the default design alerts on a step within 40 observations, through a judge of this quality.

    Both kinds of imperfection act as a smaller step: the published simulations of accuracy (1 / 0.9 / 0.8 / 0.7) and of
    the share without a stance (2 / 10 / 20 / 30 %) fall on one curve of the step that is left.

    Args:
        shift: Step of the direction draws, half of the score shift, in [0, 1].
        drift_factor: See `Scorecard`; `None` counts as 0.
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
