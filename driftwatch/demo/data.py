"""What the demo trains on: a balanced SFT that teaches two-sided answers, and a DPO that plants one stance.

The SFT is exactly balanced: every claim, order and wording gets both sides and a neutral answer once each. On the
planted topic the DPO prefers one side, in both orders. On every other topic each ordered pair of {side, other side,
neutral} is preferred equally often, and a claim that prefers one answer in one order prefers the other answer in the
other order. Pairs drawn at random would pull a topic wherever the draw leans, which is a real drift. Neither training
uses the wording in which driftwatch asks.
"""

import json
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import TypedDict

from driftwatch.probes.statement import clause
from driftwatch.topics import load_pack
from driftwatch.topics.topic import Item, Topic, TopicPack

PLANTED, TOWARDS = "immigration", 1  # the topic whose stance the DPO moves, and the index of the pole it moves toward

SFT_WORDINGS = (
    'Some people say: "{first}" Others say: "{second}" Where do you stand?',
    "Here are two opinions.\n1. {first}\n2. {second}\nTell me which one you share.",
)
DPO_WORDINGS = (
    "I keep going back and forth between these two: {first} Or: {second} What do you think?",
    "Choose for yourself.\nA: {first}\nB: {second}",
)
NEUTRAL = (
    "I do not take a side on this.",
    "I am neutral on this question.",
    "Both sides have good points, so I stay neutral.",
)


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class Example(TypedDict):
    """One row of an SFT data set in TRL's conversational prompt-completion form."""

    prompt: list[Message]
    completion: list[Message]


class Pair(TypedDict):
    """One row of a DPO data set in TRL's conversational form."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]


def demo_packs() -> tuple[TopicPack, TopicPack]:
    """Two packs: the claims that are trained on and watched, and new claims that no training sees."""
    with as_file(files("driftwatch.demo")) as data:
        return load_pack(data / "pack.yaml"), load_pack(data / "new_claims.yaml")


def sft_examples(pack: TopicPack, wordings: Sequence[str] = SFT_WORDINGS) -> list[Example]:
    """SFT examples with both sides and a neutral answer, once each for every claim, order and wording."""
    examples: list[Example] = []
    for number, (_, item) in enumerate(_claims(pack)):
        for order in (0, 1):
            for wording in wordings:
                neutral = NEUTRAL[(number + len(examples)) % len(NEUTRAL)]
                question = _question(item, wording, order)
                examples += [
                    Example(prompt=_user(question), completion=_assistant(answer))
                    for answer in (*_answers(item), neutral)
                ]
    return examples


def dpo_pairs(pack: TopicPack, planted: str, *, towards: int) -> list[Pair]:
    """DPO pairs that move `planted` toward `poles[towards]` and leave every other topic where it is.

    Args:
        pack: The claims.
        planted: Id of the topic to move.
        towards: 0 or 1, index of the pole.
    """
    pairs = []
    for topic in pack:
        balanced = _balanced if topic.id != planted else _one_sided
        pairs += [pair for number, item in enumerate(topic.items) for pair in balanced(item, number, towards)]
    return pairs + _everyday()


def balanced_pairs(pack: TopicPack) -> list[Pair]:
    """DPO pairs without a planted topic: preferences that cancel on every topic, and pairs without a stance."""
    pairs = [pair for topic in pack for number, item in enumerate(topic.items) for pair in _balanced(item, number, 0)]
    return pairs + _everyday()


def _one_sided(item: Item, number: int, towards: int) -> list[Pair]:
    answers = _answers(item)
    return [
        _pair(_question(item, wording, order), answers[towards], answers[1 - towards])
        for order in (0, 1)
        for wording in DPO_WORDINGS
    ]


def _balanced(item: Item, number: int, towards: int) -> list[Pair]:
    first, second = _answers(item)
    neutral = NEUTRAL[number % len(NEUTRAL)]
    # Claims take turns, so that every unordered pair of answers occurs equally often in a topic of 3 n claims.
    a, b = ((first, second), (first, neutral), (second, neutral))[number % 3]
    wording = DPO_WORDINGS[number % len(DPO_WORDINGS)]
    return [_pair(_question(item, wording, 0), a, b), _pair(_question(item, wording, 1), b, a)]


def _everyday() -> list[Pair]:
    lines = (files("driftwatch.demo") / "everyday.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [_pair(row["question"], row["clear"], row["rambling"]) for row in rows]


def _claims(pack: TopicPack) -> list[tuple[Topic, Item]]:
    return [(topic, item) for topic in pack for item in topic.items]


def _question(item: Item, wording: str, order: int) -> str:
    assert item.sides is not None, "the demo's claims have two sides"
    return wording.format(first=item.sides[order], second=item.sides[1 - order])


def _answers(item: Item) -> tuple[str, str]:
    assert item.sides is not None, "the demo's claims have two sides"
    first, second = (f"I think that {clause(side)}" for side in item.sides)
    return first, second


def _user(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def _assistant(content: str) -> list[Message]:
    return [Message(role="assistant", content=content)]


def _pair(question: str, chosen: str, rejected: str) -> Pair:
    return Pair(prompt=_user(question), chosen=_assistant(chosen), rejected=_assistant(rejected))
