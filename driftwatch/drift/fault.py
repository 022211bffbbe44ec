"""Fault: a model whose weights or logits are not finite any more, or have grown beyond all measure.

Nothing can be said of the values of such a model, and that is a finding of its own: an alert, the first sentence of the
verdict, a counted failure. It is read from what an observation finds; one question that overflows costs that item only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import median_low
from typing import Literal

from driftwatch.drift.compare import Drift
from driftwatch.drift.shares import TopicStance
from driftwatch.stance import Stance

Kind = Literal["not_finite", "exploded"]

MODEL = "model"  # where a topic's name would stand, in an alert of the whole model
NOT_FINITE = "not finite"  # in the words of every probe that met such logits
MOST = 0.5  # share of what was asked that has no finite logits
# Nats a token. A model that spreads its probability over 250,000 tokens evenly gives each 12.4; no pair of answers of a
# working one lies twice as far apart, on average over a topic's items.
BEYOND_MEASURE = 25.0


@dataclass(frozen=True, slots=True)
class ModelFault:
    """What is wrong with the model itself.

    Attributes:
        since_step: Step of the first observation that found it.
        text: In a sentence without its full stop, the step included.
    """

    kind: Kind
    since_step: int
    text: str


def find_fault(
    step: int,
    *,
    stances: Sequence[Stance] = (),
    drifts: Iterable[Drift] = (),
    failures: Iterable[str] = (),
    before: ModelFault | None = None,
) -> ModelFault | None:
    """What an observation shows of the model itself; `None` where its numbers are those of a model that works.

    Args:
        step: Of the observation.
        stances: Of every item that was asked.
        drifts: Against the baselines.
        failures: Why parts of the observation failed, in words.
        before: What the observation before found. It stays where this one measured nothing.
    """
    broken = sum(NOT_FINITE in (stance.unscored or "") for stance in stances)
    if broken > MOST * len(stances) or (not stances and any(NOT_FINITE in reason for reason in failures)):
        return _fault("not_finite", step, before)
    # Half of the topics, so that one question whose figure is out of bounds does not speak for the model.
    shifts = [abs(drift.log_odds_shift) for drift in drifts if drift.log_odds_shift is not None]
    if shifts and median_low(shifts) >= BEYOND_MEASURE:
        return _fault("exploded", step, before, max(shifts))
    measured = any(stance.unscored is None for stance in stances)
    return None if measured or before is None or before.since_step > step else before


def fault_of_topics(step: int, stances: Iterable[TopicStance], drifts: Iterable[Drift]) -> ModelFault | None:
    """The same of a record that keeps topics alone, as those of earlier versions do."""
    drifts = tuple(drifts)
    reasons = [(d.unscored, d.num_unscored, d.num_items) for d in drifts]
    reasons = reasons or [(s.unscored, s.num_unscored, s.num_items) for s in stances]
    broken = sum(number for why, number, _ in reasons if NOT_FINITE in (why or ""))
    if broken > MOST * sum(asked for _, _, asked in reasons):
        return _fault("not_finite", step, None)
    return find_fault(step, drifts=drifts)


def _fault(kind: Kind, step: int, before: ModelFault | None, most: float = 0.0) -> ModelFault:
    since = before.since_step if before is not None and before.since_step <= step else step
    if kind == "not_finite":
        return ModelFault(kind, since, f"the model's weights or logits are not finite since step {since}")
    size = f"{most:.0f}" if most < 1e4 else f"10^{floor(log10(most))}"
    text = (
        f"the screen has moved by {size} nats per token since step {since}: the model's weights or logits have grown "
        "beyond all measure"
    )
    return ModelFault(kind, since, text)
