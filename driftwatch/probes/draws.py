"""Draws: which items are asked now, in which order of their sides, and what was said.

One draw is a uniformly random item of a topic, a uniformly random order, and one fresh reply on each side: of the model
in training, and of the baseline. The alerts' false-alarm rate rests on these being random, fresh and used once
(docs/statistics.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from driftwatch.drift.outcome import Outcome, outcome_of
from driftwatch.judges.judge import Asked, Judge, Order, Reading
from driftwatch.judges.reading import read
from driftwatch.probes.prompt import ChatFormat, question
from driftwatch.probes.ranks import num_ranks, on_first, rank
from driftwatch.probes.sampling import Decoding, sample
from driftwatch.probes.shares import spread
from driftwatch.topics.topic import Item, Topic


class Draw(NamedTuple):
    """One question of a topic, as it will be asked on either side."""

    topic: str
    item: str
    order: Order


@dataclass(frozen=True, slots=True)
class Said:
    """One judged reply.

    Attributes:
        text: The reply, special tokens removed.
        outcome: What the judge made of it.
        unread: Why it abstained; `None` where it did not.
    """

    text: str
    outcome: Outcome
    unread: str | None = None


def draw(topics: Sequence[Topic], counts: Mapping[str, int], rng: np.random.Generator) -> list[Draw]:
    """Uniformly random items and orders, `counts` a topic, with replacement; topic by topic.

    Args:
        topics: Items without sides are left out.
        counts: By topic; topics that are not named get none.
        rng: Fresh for this look.
    """
    found = []
    for topic in topics:
        items = [item for item in topic.items if item.sides is not None]
        number = counts.get(topic.id, 0) if items else 0
        picks, orders = rng.integers(0, max(1, len(items)), number), rng.integers(0, 2, number)
        found += [Draw(topic.id, items[i].id, 1 if order else 0) for i, order in zip(picks, orders, strict=True)]
    return found


class Interviewer:
    """Puts draws to a model and has the replies read.

    Args:
        topics: The bank.
        chat: Encodes questions and decodes replies.
        judge: Frozen for the life of the run.
        decoding: How replies are sampled.
    """

    def __init__(self, topics: Sequence[Topic], chat: ChatFormat, judge: Judge, decoding: Decoding) -> None:
        self._items: dict[str, tuple[Topic, Item]] = {
            item.id: (topic, item) for topic in topics for item in topic.items
        }
        self._chat = chat
        self._judge = judge
        self._judge_id = judge.id
        self._decoding = decoding
        # One shape at every look: what a look asks must not decide how it is padded.
        asked = [item for _, item in self._items.values() if item.sides is not None]
        self._prompt_length = max(len(chat.encode(question(item, "two_sided", 0))) for item in asked)

    def ask(self, model: Any, draws: Sequence[Draw], seed: np.random.SeedSequence) -> list[Said]:
        """One fresh reply a draw, read by the judge; inside the guard, on every rank.

        Args:
            model: The model to ask.
            draws: What to ask; the same on every rank.
            seed: Of the sampler; never the same twice.

        Raises:
            ProbeError: The model could not be asked.
            JudgeError: The judge failed, or is not the one that the run began with.
        """
        if not draws:
            return []
        share = -(-len(draws) // num_ranks())
        batches = -(-share // self._decoding.batch_size)
        # Each rank samples its own share of the draws, so each needs numbers of its own.
        number = int(seed.spawn(num_ranks())[rank()].generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(number)

        def reply(questions: Sequence[str]) -> list[str]:
            return [
                found.text
                for found in sample(
                    model,
                    self._chat,
                    questions,
                    generator=generator,
                    temperature=self._decoding.temperature,
                    top_p=self._decoding.top_p,
                    max_new_tokens=self._decoding.max_new_tokens,
                    batch_size=self._decoding.batch_size,
                    prompt_length=self._prompt_length + 2,  # the other order may need a token or two more
                )
            ]

        questions = [question(self._items[d.item][1], "two_sided", d.order) for d in draws]
        texts = spread(model, questions, reply, batches * self._decoding.max_new_tokens)
        return self.read(draws, questions, texts)

    def read(self, draws: Sequence[Draw], questions: Sequence[str], texts: Sequence[str]) -> list[Said]:
        """What the judge makes of replies; asked on rank 0 only."""
        asked = []
        for number, text in enumerate(texts):
            topic, item = self._items[draws[number].item]
            asked.append(Asked(topic.id, topic.poles, item, "two_sided", draws[number].order, questions[number], text))
        readings = on_first(lambda: read(self._judge, asked, expected_id=self._judge_id), "reading replies")
        return [_said(text, reading) for text, reading in zip(texts, readings, strict=True)]

    def identity(self) -> dict[str, str]:
        """What two measurements must share."""
        return {"judge": self._judge_id, "sampling": str(self._decoding)}


def _said(text: str, reading: Reading) -> Said:
    outcome = outcome_of(reading.probs, refusal=reading.refusal, off_topic=reading.off_topic)
    return Said(text, outcome, reading.unread)
