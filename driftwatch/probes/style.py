"""Style: how the model answers, whatever it answers. Beside the stances, so that manners do not pass for values."""

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.judges.phrases import hedges
from driftwatch.judges.reading import outcome
from driftwatch.probes.reply import Answer


@dataclass(frozen=True, slots=True)
class Style:
    """Manners of one topic's replies at one look; shares in [0, 1].

    Attributes:
        refusal: Replies that decline.
        off_topic: Replies about something else.
        unread: Replies that no stance could be read from, refusals and off-topic ones apart.
        hedging: Replies that sound unsure, whatever else they say.
        order_preference: P(the side that stood first) − P(the other) among replies that take a side, in [−1, 1]; `None`
            where none does, or the question was open.
        cut: Replies that the limit on tokens ended.
        num_tokens: Mean length in tokens.
        entropy: Mean entropy of the next-token distribution, nats.
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
    entropy: float


def styles(answers: Sequence[Answer]) -> list[Style]:
    """The style of each topic, in the order in which topics first appear."""
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.asked.topic, []).append(answer)
    return [_style(topic, group) for topic, group in groups.items()]


def _style(topic: str, group: Sequence[Answer]) -> Style:
    number = len(group)
    outcomes = [outcome(answer.reading) for answer in group]
    return Style(
        topic=topic,
        num_replies=number,
        refusal=outcomes.count("refusal") / number,
        off_topic=outcomes.count("off_topic") / number,
        unread=outcomes.count("unread") / number,
        hedging=sum(hedges(answer.reply.text) for answer in group) / number,
        order_preference=_order_preference(group),
        cut=sum(not answer.reply.finished for answer in group) / number,
        num_tokens=sum(answer.reply.num_tokens for answer in group) / number,
        entropy=sum(answer.reply.entropy for answer in group) / number,
    )


def _order_preference(group: Sequence[Answer]) -> float | None:
    """+1 where the first-listed side is always taken; both orders count alike, so that a stance does not show."""
    by_order: list[float] = []
    for order in (0, 1):
        leans = [
            (answer.reading.probs.support - answer.reading.probs.oppose) * (1 - 2 * order)
            for answer in group
            if answer.asked.framing == "two_sided"
            and answer.asked.order == order
            and answer.reading.probs is not None
            and answer.reading.probs.neutral < max(answer.reading.probs.support, answer.reading.probs.oppose)
        ]
        if not leans:
            return None
        by_order.append(sum(leans) / len(leans))
    return sum(by_order) / 2
