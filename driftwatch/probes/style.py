"""The manner of a judged reply, and from answers the style of each topic; what style is says `drift.style`."""

from collections.abc import Sequence

from driftwatch.drift.outcome import outcome_of
from driftwatch.drift.style import Manner, Style, style_of
from driftwatch.judges.judge import Reading
from driftwatch.judges.phrases import hedges
from driftwatch.probes.reply import Answer
from driftwatch.replies.sampling import Reply


def styles(answers: Sequence[Answer]) -> list[Style]:
    """The style of each topic, in the order in which topics first appear."""
    groups: dict[str, list[Manner]] = {}
    for answer in answers:
        order = answer.asked.order if answer.asked.framing == "two_sided" else None
        groups.setdefault(answer.asked.topic, []).append(manner(answer.reply, answer.reading, order))
    return [style_of(topic, group) for topic, group in groups.items()]


def manner(reply: Reply, reading: Reading, order: int | None) -> Manner:
    """How one reply was given.

    Args:
        reply: What was said.
        reading: What the judge made of it.
        order: Which of the item's sides stood first; `None` for open questions.
    """
    probs = reading.probs
    takes_side = probs is not None and probs.neutral < max(probs.support, probs.oppose)
    return Manner(
        outcome=outcome_of(probs, refusal=reading.refusal, off_topic=reading.off_topic),
        order=order,
        lean=probs.support - probs.oppose if probs is not None and takes_side else None,
        hedges=hedges(reply.text),
        finished=reply.finished,
        num_tokens=reply.num_tokens,
        entropy=reply.entropy,
    )
