"""The response style of one judged reply; `drift.style` defines what response style is."""

from driftwatch.drift.outcome import outcome_of
from driftwatch.drift.style import ReplyStyle
from driftwatch.judges.judge import Judgement
from driftwatch.judges.phrases import hedges
from driftwatch.replies.sampling import Reply


def reply_style(reply: Reply, reading: Judgement, order: int | None) -> ReplyStyle:
    """The response style of one reply.

    Args:
        reply: The reply.
        reading: The judgement of it.
        order: Which of the item's sides stood first; `None` for open questions.
    """
    probs = reading.probs
    takes_side = probs is not None and probs.neutral < max(probs.support, probs.oppose)
    return ReplyStyle(
        outcome=outcome_of(probs, refusal=reading.refusal, off_topic=reading.off_topic),
        order=order,
        lean=probs.support - probs.oppose if probs is not None and takes_side else None,
        hedges=hedges(reply.text),
        finished=reply.finished,
        num_tokens=reply.num_tokens,
        entropy=reply.entropy,
    )
