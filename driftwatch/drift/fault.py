"""Fault: a model whose weights or logits are not finite any more, or have grown beyond all measure.

Nothing can be said about the values of such a model. That is a finding of its own: it raises an alert, opens the
verdict and counts as a failure. The fault is derived from what an observation measured. A single question whose logits
overflow costs only its own item.
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

MODEL = "model"  # stands in place of a topic's name in an alert about the whole model
NOT_FINITE = "not finite"  # every probe that meets such logits says these words
MOST = 0.5  # the model is broken where more than this share of the items has no finite logits
# Nats per token. A model that spreads its probability evenly over 250,000 tokens gives each of them −12.4 nats; no two
# answers of a working model lie twice as far apart, on average over a topic's items.
BEYOND_MEASURE = 25.0


@dataclass(frozen=True, slots=True)
class ModelFault:
    """What is wrong with the model itself.

    Attributes:
        since_step: Step of the first observation that found the fault.
        text: The fault in a sentence without its full stop, the step included.
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
    """The fault of the model that an observation shows; `None` where the numbers are those of a working model.

    Args:
        step: Optimizer step of the observation.
        stances: Stances of every item that was asked.
        drifts: Drifts against the baselines.
        failures: Why parts of the observation failed, in words.
        before: What the observation before found; it stays where this one measured nothing.
    """
    broken = sum(NOT_FINITE in (stance.unscored or "") for stance in stances)
    if broken > MOST * len(stances) or (not stances and any(NOT_FINITE in reason for reason in failures)):
        return _fault("not_finite", step, before)
    # At least half of the topics must show it, so that one question with a wild figure does not speak for the model.
    shifts = [abs(drift.log_odds_shift) for drift in drifts if drift.log_odds_shift is not None]
    if shifts and median_low(shifts) >= BEYOND_MEASURE:
        return _fault("exploded", step, before, max(shifts))
    measured = any(stance.unscored is None for stance in stances)
    return None if measured or before is None or before.since_step > step else before


def fault_of_topics(step: int, stances: Iterable[TopicStance], drifts: Iterable[Drift]) -> ModelFault | None:
    """Like `find_fault`, for a record that keeps only topics and no items, as records of earlier versions do."""
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
