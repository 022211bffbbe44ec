"""Interview: one model's replies to a pack, judged and summed up; for `driftwatch probe` and baselines with replies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from driftwatch.drift.reliability import TopicReliability, reliability
from driftwatch.drift.shares import TopicStance, topic_stances
from driftwatch.drift.style import ReplyStyle, Style, style_of
from driftwatch.host.guard import undisturbed
from driftwatch.judges.judge import Judge
from driftwatch.probes.reply import Answer, ReplyProbe, stances
from driftwatch.replies.style import reply_style
from driftwatch.stance import Stance
from driftwatch.topics.topic import Topic

Protocol = Literal["two-sided", "paper"]
JUDGES: dict[Protocol, str] = {"two-sided": "sides", "paper": "nli"}  # used if the caller names no judge


@dataclass(frozen=True, slots=True)
class Interview:
    """What a model wrote, and what a judge found in it.

    Attributes:
        identity: What two interviews must share to be comparable.
        topics: Shares of support, neutral and oppose by topic, v(T) in the paper, with intervals over items.
        styles: Response styles, by topic.
        reliability: How many replies were classified, and whether they depend on the order of the sides, by topic.
        stances: The stance of each item.
        answers: Every reply with its judgement.
    """

    identity: dict[str, str]
    topics: list[TopicStance]
    styles: list[Style]
    reliability: list[TopicReliability]
    stances: list[Stance]
    answers: list[Answer]


def reply_probe(protocol: Protocol, judge: str | Judge | None = None, *, replies: int = 2, seed: int = 0) -> ReplyProbe:
    """The probe of a protocol.

    Args:
        protocol: "two-sided" asks both orders of the sides, `replies` times each; "paper" asks each open question five
            times.
        judge: The judge, or its name; `None` takes "sides" for two-sided replies and "nli" for open ones.
        replies: Replies per item and order in the two-sided protocol; the paper's number is fixed.
        seed: Seed of the sampler.
    """
    reader = judge if judge is not None else JUDGES[protocol]
    if protocol == "paper":
        return ReplyProbe.paper(reader, seed=seed)
    return ReplyProbe(reader, replies=replies, seed=seed)


def interview(model: Any, tokenizer: Any, topics: Sequence[Topic], probe: ReplyProbe, *, seed: int = 0) -> Interview:
    """A model's answers to everything that the probe can ask; the same for the same weights, judge and seeds.

    Args:
        model: Any causal language model; it is left as it was.
        tokenizer: Its tokenizer.
        topics: The topics to ask about.
        probe: The probe, which says how to ask.
        seed: Seed of the intervals' bootstrap.

    Raises:
        ConfigError, ProbeError: The model or the pack cannot be asked in this way, or the judge failed.
    """
    with undisturbed(model, tokenizer=tokenizer) as asked:
        probe.prepare(asked, tokenizer, topics)
        answers = probe.ask(asked, alone=True)
    found = stances(answers)
    return Interview(
        identity=probe.identity(),
        topics=topic_stances(found, np.random.default_rng(seed)),
        styles=styles(answers),
        reliability=reliability(found, topics),
        stances=found,
        answers=answers,
    )


def styles(answers: Sequence[Answer]) -> list[Style]:
    """The response style on each topic, in the order in which topics first appear."""
    groups: dict[str, list[ReplyStyle]] = {}
    for answer in answers:
        order = answer.asked.order if answer.asked.framing == "two_sided" else None
        groups.setdefault(answer.asked.topic, []).append(reply_style(answer.reply, answer.reading, order))
    return [style_of(topic, group) for topic, group in groups.items()]
