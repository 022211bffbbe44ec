"""Pairs: the replies of both models to the draws of one observation, with their judgements."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from driftwatch.drift.abstained import Abstained
from driftwatch.drift.outcome import Draws, Outcome, outcome_of
from driftwatch.drift.style import ReplyStyle, StylePair, style_of
from driftwatch.judges.judge import Judgement
from driftwatch.replies.draws import Draw
from driftwatch.replies.hearing import Heard
from driftwatch.replies.sampling import Reply
from driftwatch.replies.style import reply_style


@dataclass(frozen=True, slots=True)
class Said(Reply):
    """One judged reply.

    Attributes:
        outcome: What the judge found in it.
        unread: Why the judge left it unclassified; `None` if it did not.
    """

    outcome: Outcome
    unread: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyPair:
    """One draw with both judged replies, kept for a reader who asks what an alert rests on."""

    look: int
    step: int
    topic: str
    item: str
    order: int
    now: Said
    baseline: Said


class Put(NamedTuple):
    """The draws of one observation with the replies of both models, until the judge has read them."""

    step: int
    draws: Sequence[Draw]
    now: Sequence[Reply]
    baseline: Sequence[Reply]


def reply_pairs(put: Put, heard: Heard) -> list[ReplyPair]:
    """An observation's draws with the judged replies of both models, in order."""
    now, baseline = (
        [_said(reply, reading) for reply, reading in zip(replies, readings, strict=True)]
        for replies, readings in ((put.now, heard.now), (put.baseline, heard.baseline))
    )
    return [
        ReplyPair(heard.look, put.step, d.topic, d.item, d.order, ours, theirs)
        for d, ours, theirs in zip(put.draws, now, baseline, strict=True)
    ]


def outcomes(pairs: Sequence[ReplyPair]) -> dict[str, Draws]:
    """What one observation's replies count for as evidence, by topic."""
    rows: dict[str, list[tuple[str, int, int]]] = {}
    for pair in pairs:
        rows.setdefault(pair.topic, []).append((pair.item, int(pair.now.outcome), int(pair.baseline.outcome)))
    return {topic: Draws(*(tuple(column) for column in zip(*found, strict=True))) for topic, found in rows.items()}


def style_pairs(looks: Sequence[tuple[Put, Heard]]) -> tuple[StylePair, ...]:
    """The response styles of both models, topic by topic, over all replies judged for some observations."""
    sides: dict[str, tuple[list[ReplyStyle], list[ReplyStyle]]] = {}
    for put, heard in looks:
        given = zip(put.draws, put.now, heard.now, put.baseline, heard.baseline, strict=True)
        for d, ours, our_reading, theirs, their_reading in given:
            now, baseline = sides.setdefault(d.topic, ([], []))
            now.append(reply_style(ours, our_reading, d.order))
            baseline.append(reply_style(theirs, their_reading, d.order))
    return tuple(StylePair(style_of(topic, now), style_of(topic, before)) for topic, (now, before) in sides.items())


def abstained(heard: Sequence[Heard]) -> Abstained | None:
    """How many replies the judge left unclassified, by kind of reason; `None` if it read none."""
    now = [reading for look in heard for reading in look.now]
    baseline = [reading for look in heard for reading in look.baseline]
    return Abstained(len(now), _unread_kinds(now), _unread_kinds(baseline)) if now else None


def read_twice(put: Put, heard: Heard) -> dict[str, Draws]:
    """The baseline's replies by topic, with the first judgement as `baseline` and a second one as `now`."""
    if heard.again is None:
        return {}
    same = put._replace(now=put.baseline)
    return outcomes(reply_pairs(same, Heard(heard.look, heard.again, heard.baseline)))


def _unread_kinds(readings: Sequence[Judgement]) -> dict[str, int]:
    return dict(sorted(Counter(r.unread_kind for r in readings if r.unread is not None).items()))


def _said(reply: Reply, reading: Judgement) -> Said:
    outcome = outcome_of(reading.probs, refusal=reading.refusal, off_topic=reading.off_topic)
    return Said(
        reply.text,
        reply.num_tokens,
        reply.finished,
        reply.entropy,
        outcome,
        reading.unread,
        missing=reply.missing,
    )
