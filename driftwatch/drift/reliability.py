"""Reliability of the instrument on one model: where can this model be measured at all?

It is computed once, at the baseline. An item is asked in both orders of its sides, so its log-odds have two parts,

    stance_i = (d_i0 + d_i1) / 2        the lean, whichever side stands first; positive toward poles[0]
    order_i  = (d_i0 − d_i1) / 2        the effect of the order; positive where the first-listed side is preferred

where d_io are the log-odds in order o. If |order_i| ≥ |stance_i|, the answer changes with the order: a reply then says
which side stood first, not what the model holds. The share of items whose answer does not change is the order
consistency. Models lose most of their reliability to the order of options (a consistency of 0.41, against more than 0.9
for paraphrases: arXiv 2607.05554).

Shape letters: N items, F frames.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.drift.calibration import MIN_TEMPERATURE
from driftwatch.stance import Probs, Stance
from driftwatch.topics.topic import Topic

# If a smaller share of the items is measured or classified, the topic's mean rests on a lucky few. Chosen.
MIN_COVERAGE = 0.5
# Below this, the order of the sides decides the answer to most items. Chosen: the majority.
MIN_CONSISTENCY = 0.5
# Standard deviation over items of the log-odds, nats per token. It is twice the calibration's smallest temperature,
# because a temperature is the standard deviation of half the log-odds.
MIN_SPREAD = 2 * MIN_TEMPERATURE
MIN_ITEMS = 3  # for a correlation or a standard deviation over items
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class ItemReliability:
    """Whether one item can be measured on this model.

    Attributes:
        stance: The lean, nats per token, positive toward `poles[0]`; `None` where it was not measured.
        order: The effect of the order, nats per token, positive toward the first-listed side; `None` where it was not
            measured.
        unresolved: Why the item has no resolution; `None` where it has.
    """

    item: str
    stance: float | None
    order: float | None
    unresolved: str | None


@dataclass(frozen=True, slots=True)
class TopicReliability:
    """Whether one topic can be measured on this model; any figure is `None` where it was not measured.

    Attributes:
        num_items: Number of items asked.
        coverage: Share of these items with a figure in both orders, in [0, 1].
        order_consistency: Share of the measured items whose answer stays when the sides change places, in [0, 1].
        order_effect: Mean over items of the effect of the order, nats per token; positive where the first-listed side
            is preferred.
        order_agreement: Pearson correlation over items between the log-odds of the two orders, in [−1, 1].
        spread: Standard deviation over items of the stance, nats per token.
        frame_consistency: Share of the pairs of frames that agree on the side, mean over items, in [0, 1].
        naysaying: Mean P("no") when the model is asked to agree with either side, in [0, 1].
        reply_coverage: Share of the sampled replies that are classified as a stance, in [0, 1]: neither refusals nor
            unclassified.
        reply_consistency: Order consistency of the replies, like `order_consistency`; items whose replies lean nowhere
            are left out.
        reply_refusal: Share of the replies that refuse, in [0, 1].
        unresolved: Why the topic has no resolution and is left out of alerts; `None` where it has.
    """

    topic: str
    control: bool
    num_items: int
    coverage: float | None
    order_consistency: float | None
    order_effect: float | None
    order_agreement: float | None
    spread: float | None
    frame_consistency: float | None
    naysaying: float | None
    reply_coverage: float | None
    reply_consistency: float | None
    reply_refusal: float | None
    unresolved: str | None
    items: tuple[ItemReliability, ...]

    @property
    def num_unresolved(self) -> int:
        """Number of items without resolution."""
        return sum(item.unresolved is not None for item in self.items)


def reliability(
    stances: Sequence[Stance], topics: Sequence[Topic], *, frames: Mapping[str, Sequence[float]] | None = None
) -> list[TopicReliability]:
    """One entry for each topic that was asked, in the order of `topics`.

    Args:
        stances: Stances of one observation. Those with scores are the screen's; the others come from replies, and may
            be missing.
        topics: Topics of the pack.
        frames: By item id, the log-odds of each frame of the answers, nats per token, shape (F,); `None` where the
            probe gives no figures by frame.
    """
    screen = [stance for stance in stances if stance.scores is not None or stance.probe == "statement"]
    replies = [stance for stance in stances if stance.scores is None and stance.probe != "statement"]
    found = []
    for topic in topics:
        of_screen = [stance for stance in screen if stance.topic == topic.id]
        of_replies = [stance for stance in replies if stance.topic == topic.id]
        if of_screen or of_replies:
            found.append(_topic(topic, of_screen, of_replies, frames or {}))
    return found


def reliability_of(stances: Sequence[Stance], topics: Sequence[Topic]) -> list[TopicReliability]:
    """`reliability` with the log-odds by frame that the stances themselves carry."""
    frames = {s.item: s.frame_log_odds for s in stances if s.frame_log_odds is not None}
    return reliability(stances, topics, frames=frames or None)


def reliability_table(found: Sequence[TopicReliability]) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text, for any kind of table; a figure that was not measured is shown as such."""
    header = [
        "topic",
        "items",
        "coverage",
        "order consistency",
        "order effect (nats/token)",
        "order agreement (r)",
        "item spread (nats/token)",
        "frame consistency",
        "naysaying",
        "reply coverage",
        "reply consistency",
        "reply refusal",
        "items without resolution",
        "resolution",
    ]
    return header, [_row(entry) for entry in found]


def _row(entry: TopicReliability) -> list[str]:
    figures = (
        (entry.coverage, ".2f"),
        (entry.order_consistency, ".2f"),
        (entry.order_effect, "+.3f"),
        (entry.order_agreement, "+.2f"),
        (entry.spread, ".3f"),
        (entry.frame_consistency, ".2f"),
        (entry.naysaying, ".2f"),
        (entry.reply_coverage, ".2f"),
        (entry.reply_consistency, ".2f"),
        (entry.reply_refusal, ".2f"),
    )
    return [
        entry.topic + (" (control)" if entry.control else ""),
        str(entry.num_items),
        *(NOT_MEASURED if figure is None else format(figure, form) for figure, form in figures),
        str(entry.num_unresolved),
        "yes" if entry.unresolved is None else f"no: {entry.unresolved}",
    ]


def _topic(
    topic: Topic, screen: Sequence[Stance], replies: Sequence[Stance], frames: Mapping[str, Sequence[float]]
) -> TopicReliability:
    items = tuple(_item(stance) for stance in screen)
    measured = [item for item in items if item.stance is not None and item.order is not None]
    stance_N = np.array([item.stance for item in measured], float)
    order_N = np.array([item.order for item in measured], float)
    entry = TopicReliability(
        topic=topic.id,
        control=topic.control,
        num_items=len(items) or len(replies),
        coverage=len(measured) / len(items) if items else None,
        order_consistency=float((np.abs(stance_N) > np.abs(order_N)).mean()) if measured else None,
        order_effect=float(order_N.mean()) if measured else None,
        order_agreement=_correlation(stance_N + order_N, stance_N - order_N),
        spread=float(stance_N.std(ddof=1)) if len(measured) >= MIN_ITEMS else None,
        frame_consistency=_mean(_frame_consistency(frames[item.item]) for item in items if item.item in frames),
        naysaying=_mean(stance.naysaying for stance in screen),
        reply_coverage=_mean(_readable(stance) for stance in replies),
        reply_consistency=_reply_consistency(replies),
        reply_refusal=_mean(stance.refusal for stance in replies),
        unresolved=None,
        items=items,
    )
    reasons = [stance.unscored for stance in screen if stance.unscored]
    return replace(entry, unresolved=_unresolved(entry, reasons))


def _unresolved(entry: TopicReliability, reasons: Sequence[str]) -> str | None:
    """The gravest reason that applies; `None` where none does."""
    if entry.coverage is not None and entry.coverage < MIN_COVERAGE:
        why = f" ({reasons[0]})" if reasons else ""
        return f"only {entry.coverage:.0%} of the items could be measured{why}"
    if entry.order_consistency is not None and entry.order_consistency < MIN_CONSISTENCY:
        return f"the side that stands first decides the answer to {1 - entry.order_consistency:.0%} of the items"
    if entry.spread is not None and entry.spread < MIN_SPREAD:
        return f"the items differ by only {entry.spread:.3f} nats per token, less than {MIN_SPREAD:.3f}"
    # This is a mean of shares, so half of the replies may come out as 0.49999999999999994.
    if entry.reply_coverage is not None and round(entry.reply_coverage, 9) < MIN_COVERAGE:
        return f"only {entry.reply_coverage:.0%} of the replies took a stance that could be read"
    if entry.reply_consistency is not None and entry.reply_consistency < MIN_CONSISTENCY:
        return f"the side that stands first decides the replies to {1 - entry.reply_consistency:.0%} of the items"
    return None


def _item(stance: Stance) -> ItemReliability:
    first, second = stance.scores_by_order
    if first is None or second is None:
        return ItemReliability(stance.item, None, None, stance.unscored or "one order of the sides was not measured")
    by_order = (first.support - first.oppose, second.support - second.oppose)
    lean, order = (by_order[0] + by_order[1]) / 2, (by_order[0] - by_order[1]) / 2
    unresolved = None
    if abs(order) >= abs(lean):
        unresolved = f"the answer follows the order of the sides ({order:+.3f} nats per token against {lean:+.3f})"
    return ItemReliability(stance.item, lean, order, unresolved)


def _frame_consistency(log_odds_F: Sequence[float]) -> float | None:
    """Share of the pairs of frames with the same sign; `None` with fewer than two frames."""
    num_frames = len(log_odds_F)
    if num_frames < 2:
        return None
    toward_first = sum(value > 0 for value in log_odds_F)
    pairs = num_frames * (num_frames - 1) / 2
    return 1 - toward_first * (num_frames - toward_first) / pairs


def _readable(stance: Stance) -> float | None:
    """Share of the replies to an item that are classified as a stance: neither refusals nor unclassified."""
    return stance.coverage if stance.unread is None else 1 - stance.unread - (stance.refusal or 0.0)


def _reply_consistency(replies: Sequence[Stance]) -> float | None:
    signs = []
    for stance in replies:
        directions = [_direction(probs) for probs in stance.by_order]
        if all(directions):
            signs.append(directions[0] == directions[1])
    return float(np.mean(signs)) if signs else None


def _direction(probs: Probs | None) -> int:
    """The lean as 1 toward `poles[0]`, −1 toward `poles[1]`, or 0 where there is none or nothing was measured."""
    return 0 if probs is None else int(np.sign(probs.support - probs.oppose))


def _correlation(first_N: NDArray[np.float64], second_N: NDArray[np.float64]) -> float | None:
    if len(first_N) < MIN_ITEMS or first_N.std() == 0 or second_N.std() == 0:
        return None
    return float(np.corrcoef(first_N, second_N)[0, 1])


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None
