"""validity: does the screen say what the replies say?

The screen reads likelihoods and the judge reads replies. These are different instruments, so expect correlations of 0.4
to 0.65 over items. The screen only chooses which topics get more draws, so no alert rests on this agreement. The
screen's levels are shown only where it agrees.

Shape letters: N items, S stances.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.kappa import cohen_kappa
from driftwatch.drift.outcome import NUM_OUTCOMES, Draws
from driftwatch.stance import Probs, Stance

MIN_ITEMS = 10
MIN_REPLIES = 4.0  # per item, on average; with fewer, their own noise would pass for disagreement; chosen
MIN_CORRELATION = 0.4
MAX_TOPIC_ERROR = 0.10


@dataclass(frozen=True, slots=True)
class Validity:
    """Agreement of a probe with judged replies over items; `None` where it was not measured.

    Attributes:
        pearson: Correlation over items of P(support) − P(oppose), in [−1, 1].
        spearman: The same correlation of ranks.
        pearson_by_stance: Correlation of each stance's probability.
        topic_error: Mean over topics and stances of the absolute difference of shares, in [0, 1].
        by_topic: The same difference for each topic.
        kappa: Cohen's kappa of the leading stances, at most 1.
        num_items: Number of items measured by both.
        is_valid: Whether the probe's levels may be shown; its shifts may always be shown.
        why: Why the levels may not be shown, or why validity was not measured; `None` where it is valid.
    """

    probe: str
    pearson: float | None
    spearman: float | None
    pearson_by_stance: Probs | None
    topic_error: float | None
    by_topic: dict[str, float]
    kappa: float | None
    num_items: int
    is_valid: bool | None
    why: str | None = None


def validity(screen: Sequence[Stance], replies: Sequence[Stance]) -> Validity:
    """The agreement of one calibrated probe with label shares, item by item.

    Args:
        screen: Stances with probabilities, of one probe.
        replies: Label shares of judged replies to the same items, as `label_shares` or the reply probe gives them. With
            few replies per item, their own noise weakens the correlation.
    """
    probe = screen[0].probe if screen else "none"
    labels = {(s.topic, s.item): s.probs for s in replies if s.probs is not None and sum(s.probs) > 0}
    both = [(s.topic, s.probs, labels[s.topic, s.item]) for s in screen if s.probs and (s.topic, s.item) in labels]
    if len(both) < MIN_ITEMS:
        too_few = f"{len(both)} items with both a probability and a judged reply; {MIN_ITEMS} are needed"
        return Validity(probe, None, None, None, None, {}, None, len(both), None, too_few)
    probe_NS, label_NS = np.array([b[1] for b in both]), np.array([np.array(b[2]) / sum(b[2]) for b in both])
    topics = np.array([b[0] for b in both])
    error_NS = probe_NS - label_NS
    by_topic = {t: float(np.abs(error_NS[topics == t].mean(0)).mean()) for t in dict.fromkeys(topics.tolist())}
    score, label_score = probe_NS[:, 0] - probe_NS[:, 2], label_NS[:, 0] - label_NS[:, 2]
    pearson, topic_error = correlation(score, label_score), float(np.mean(list(by_topic.values())))
    per_stance = [correlation(probe_NS[:, s], label_NS[:, s]) for s in range(3)]
    is_valid, why = _gate(pearson, topic_error)
    return Validity(
        probe=probe,
        pearson=pearson,
        spearman=correlation(_ranks(score), _ranks(label_score)),
        pearson_by_stance=None if None in per_stance else Probs(*(r for r in per_stance if r is not None)),
        topic_error=topic_error,
        by_topic=by_topic,
        kappa=cohen_kappa(probe_NS.argmax(1).tolist(), label_NS.argmax(1).tolist()),
        num_items=len(both),
        is_valid=is_valid,
        why=why,
    )


Tally = dict[str, dict[str, list[int]]]
"""Numbers of replies by topic, item and outcome: a list with a count for each `Outcome`, plain so that it is stored."""


def count(looks: Iterable[Mapping[str, Draws]], side: Literal["now", "baseline"], so_far: Tally | None = None) -> Tally:
    """The number of replies by topic, item and outcome, over the draws of some observations.

    Args:
        looks: Draws by topic, observation by observation.
        side: Whose replies are counted: those of the model in training, or those of the baseline.
        so_far: Earlier counts to add to; they are not changed.
    """
    counts: Tally = {topic: {i: list(c) for i, c in items.items()} for topic, items in (so_far or {}).items()}
    for look in looks:
        for topic, draws in look.items():
            items = counts.setdefault(topic, {})
            for item, outcome in zip(draws.items, draws.now if side == "now" else draws.baseline, strict=True):
                items.setdefault(item, [0] * NUM_OUTCOMES)[outcome] += 1
    return counts


def label_shares(counts: Tally) -> list[Stance]:
    """Label shares of each item: the shares of its replies that took each stance, or none.

    Returns:
        One stance of probe "confirm" per item. `probs` are shares of all its replies, so replies without a stance are
        missing from their sum.
    """
    found = []
    for topic, items in counts.items():
        for item, counted in items.items():
            share = (np.array(counted) / sum(counted)).tolist()
            stance = Stance(
                topic,
                item,
                "confirm",
                probs=Probs(*share[:3]),
                refusal=share[3],
                unread=share[4] + share[5],
                coverage=1.0,
            )
            found.append(stance)
    return found


def validity_by_probe(screen: Sequence[Stance], counts: Tally) -> tuple[Validity, ...]:
    """The validity of every probe that gives probabilities, from counted replies.

    Args:
        screen: Calibrated stances of the baseline.
        counts: Counts of the baseline's replies. Too few of them per item say nothing yet, and `why` then says so.
    """
    replies = [sum(counted) for items in counts.values() for counted in items.values()]
    mean = float(np.mean(replies)) if replies else 0.0
    found = []
    for probe in dict.fromkeys(s.probe for s in screen if s.probs is not None):
        if mean < MIN_REPLIES:
            too_few = f"{mean:.1f} judged replies an item so far; {MIN_REPLIES:g} are needed"
            found.append(Validity(probe, None, None, None, None, {}, None, 0, None, too_few))
        else:
            found.append(validity([s for s in screen if s.probe == probe], label_shares(counts)))
    return tuple(found)


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Pearson's correlation; `None` where either does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))


def _gate(pearson: float | None, topic_error: float) -> tuple[bool, str | None]:
    if pearson is None:
        return False, "the probe or the labels do not differ between items"
    if pearson < MIN_CORRELATION:
        return False, f"correlation over items {pearson:.2f}, below {MIN_CORRELATION:g}"
    if topic_error > MAX_TOPIC_ERROR:
        return False, f"shares of topics differ by {topic_error:.2f} on average, above {MAX_TOPIC_ERROR:g}"
    return True, None


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values share their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray(((ends - counts + ends - 1) / 2)[inverse])
