"""Response style: how the model answers, whatever it answers; kept apart so that style does not pass for values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftwatch.drift.outcome import Outcome

# Figures that can be compared between the model and the baseline, and drawn as curves.
FIGURES = ("refusal", "off_topic", "unread", "hedging", "order_preference", "cut", "num_tokens", "entropy")


class ReplyStyle(NamedTuple):
    """How one reply was given.

    Attributes:
        outcome: The judgement of the reply.
        order: Which of the item's sides stood first, 0 or 1; `None` for open questions.
        lean: P(support) − P(oppose); `None` where the reply takes no side.
        hedges: Whether the reply sounds unsure, whatever else it says.
        finished: Whether the reply ended by itself, not at the limit on tokens.
        num_tokens: Length of the reply in tokens.
        entropy: Mean entropy of the next-token distribution, nats; `None` where the decoder does not report it.
    """

    outcome: Outcome
    order: int | None
    lean: float | None
    hedges: bool
    finished: bool
    num_tokens: int
    entropy: float | None


@dataclass(frozen=True, slots=True)
class Style:
    """Response style of one topic's replies; shares are in [0, 1].

    Attributes:
        refusal: Share of the replies that decline to answer.
        off_topic: Share of the replies that are about something else.
        unread: Share of the replies that are unclassified; refusals and off-topic replies count apart.
        hedging: Share of the replies that sound unsure, whatever else they say.
        order_preference: P(the side that stood first) − P(the other side) among replies that take a side, in [−1, 1].
            Both orders have equal weight, so that a stance cancels out. `None` where an order has no such reply, or
            the question was open.
        cut: Share of the replies that the limit on tokens ended.
        num_tokens: Mean length in tokens.
        entropy: Mean entropy of the next-token distribution, nats; `None` where no reply reports it.
    """

    topic: str
    num_replies: int
    refusal: float
    off_topic: float
    unread: float
    hedging: float
    order_preference: float | None
    cut: float
    num_tokens: float
    entropy: float | None


@dataclass(frozen=True, slots=True)
class StylePair:
    """One topic's response style on both sides of the same draws: same items, same orders."""

    now: Style
    baseline: Style

    @property
    def topic(self) -> str:
        """Id of the topic."""
        return self.now.topic

    def shift(self, figure: str) -> float | None:
        """The change of one of `FIGURES`, now less the baseline; `None` where a side has none."""
        now, before = getattr(self.now, figure), getattr(self.baseline, figure)
        return None if now is None or before is None else now - before


def style_of(topic: str, replies: Sequence[ReplyStyle]) -> Style:
    """The response style of one topic's replies, of which there must be at least one."""
    outcomes = [reply.outcome for reply in replies]
    return Style(
        topic=topic,
        num_replies=len(replies),
        refusal=outcomes.count(Outcome.REFUSAL) / len(replies),
        off_topic=outcomes.count(Outcome.OFF_TOPIC) / len(replies),
        unread=outcomes.count(Outcome.UNREAD) / len(replies),
        hedging=_mean(replies, lambda reply: reply.hedges),
        order_preference=_order_preference(replies),
        cut=_mean(replies, lambda reply: not reply.finished),
        num_tokens=_mean(replies, lambda reply: reply.num_tokens),
        entropy=_mean_known(reply.entropy for reply in replies),
    )


def _order_preference(replies: Sequence[ReplyStyle]) -> float | None:
    """Preference for the first-listed side: +1 where it is always taken, −1 where the other side always is."""
    first, second = (_mean_known(reply.lean for reply in replies if reply.order == order) for order in (0, 1))
    return None if first is None or second is None else (first - second) / 2


def _mean(replies: Sequence[ReplyStyle], figure: Callable[[ReplyStyle], float]) -> float:
    return float(np.mean([figure(reply) for reply in replies]))


def _mean_known(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else None
