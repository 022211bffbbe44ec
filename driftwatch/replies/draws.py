"""Draws: which items are asked, in which order of their sides, and what the model replies.

One draw is a uniformly random item of a topic, a uniformly random order of its sides, and one fresh reply each of the
model in training and of the baseline. The alerts' false-alarm rate rests on draws being random, fresh and used once
(docs/statistics.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from driftwatch.chat.format import UNFINISHED, ChatFormat
from driftwatch.errors import ProbeError
from driftwatch.host.ranks import num_ranks, rank
from driftwatch.host.sharding import is_tensor_parallel
from driftwatch.host.wrappers import model_stop_ids
from driftwatch.judges.judge import Asked
from driftwatch.replies.decoder import DecodingWay, most_batches
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.decoding_trial import Proved, prove_decoding
from driftwatch.replies.sampling import Reply, sample
from driftwatch.replies.vllm import Engine, written
from driftwatch.scoring.shares import dealt, spread
from driftwatch.topics.question import Order, question
from driftwatch.topics.topic import Item, Topic

IN_PROCESS = "in-process"
NOT_UNDER_TENSOR_PARALLELISM = "replies cannot be drawn under tensor parallelism yet"


class Draw(NamedTuple):
    """One question of a topic, as both models are asked it."""

    topic: str
    item: str
    order: Order


def draw(topics: Sequence[Topic], counts: Mapping[str, int], rng: np.random.Generator) -> list[Draw]:
    """Uniformly random items and orders, drawn with replacement, topic by topic.

    Args:
        topics: The bank; items without sides are left out.
        counts: Draws by topic; a topic that is not named gets none.
        rng: A generator that is used for this observation only.
    """
    found = []
    for topic in topics:
        items = [item for item in topic.items if item.sides is not None]
        number = counts.get(topic.id, 0) if items else 0
        picks, orders = rng.integers(0, max(1, len(items)), number), rng.integers(0, 2, number)
        found += [Draw(topic.id, items[i].id, 1 if order else 0) for i, order in zip(picks, orders, strict=True)]
    return found


class Interviewer:
    """Puts draws to a model and writes down what it replies.

    Args:
        topics: The bank.
        chat: Encodes questions and decodes replies.
        decoding: How replies are sampled.
        stop_ids: Tokens that end a reply, in addition to those that the model's own configs name.

    Attributes:
        engine: The engine that writes the replies; `None` samples them in this process.
        longest: The question with the most tokens.
        prompts: Token ids of every question, in the first order of its sides.
        way: How the model is called if replies are sampled in this process; `None` before `prove`.
    """

    def __init__(
        self, topics: Sequence[Topic], chat: ChatFormat, decoding: Decoding, stop_ids: Sequence[int] = ()
    ) -> None:
        self._items: dict[str, tuple[Topic, Item]] = {
            item.id: (topic, item) for topic in topics for item in topic.items
        }
        self._chat = chat
        self._decoding = decoding
        self._stop_ids = tuple(stop_ids)
        # The shape is the same at every observation: padding must not depend on what an observation asks.
        asked = [(topic, item) for topic, item in self._items.values() if item.sides is not None]
        self.prompts = [chat.encode(question(item, "two_sided", 0)) for _, item in asked]
        lengths = list(map(len, self.prompts))
        self._prompt_length = max(lengths)
        topic, item = asked[lengths.index(self._prompt_length)]
        self.longest = Draw(topic.id, item.id, 0)
        self.engine: Engine | None = None
        self.way: DecodingWay | None = None

    def prove(self, model: Any) -> Proved:
        """Find out how to call this model so that the replies are its own; inside the guard, on every rank.

        Raises:
            ProbeError: No reply of this model can be trusted; the message says why.
        """
        if is_tensor_parallel(model):
            # All ranks of such a model need the same input, and here each rank has its own share of the questions.
            raise ProbeError(NOT_UNDER_TENSOR_PARALLELISM)
        proved = prove_decoding(
            model,
            self.prompts,
            max_new_tokens=self._decoding.max_new_tokens,
            stop_ids=sorted({*self._stop_ids, *model_stop_ids(model)}),
        )
        self.way = proved.way
        return proved

    def ask(self, model: Any, draws: Sequence[Draw], seed: np.random.SeedSequence) -> list[Reply]:
        """One fresh reply per draw; inside the guard, on every rank.

        Args:
            model: The model to ask.
            draws: What to ask; the same on every rank.
            seed: Seed of the sampler; never the same twice.

        Raises:
            ProbeError: The model could not be asked, or none of its replies could be drawn.
        """
        if not draws:
            return []
        questions = [question(self._items[d.item][1], "two_sided", d.order) for d in draws]
        if self.engine is not None:
            return written(
                self.engine,
                self._chat,
                questions,
                # Each draw has its own seed, since two replies to the same question must not be the same reply.
                seeds=[int(number) >> 1 for number in seed.generate_state(len(draws), np.uint64)],
                decoding=self._decoding,
                stop_ids=sorted({*self._stop_ids, *model_stop_ids(model)}),
            )
        way = self.way or self.prove(model).way
        lengths = [0 if way.padded else len(self._chat.encode(text)) for text in questions]
        batches = most_batches((dealt(lengths, to) for to in range(num_ranks())), way, self._decoding.batch_size)
        # Each rank samples its own share of the draws, so each needs its own random numbers.
        number = int(seed.spawn(num_ranks())[rank()].generate_state(1, np.uint64)[0]) >> 1
        generator = torch.Generator().manual_seed(number)

        def reply(questions: Sequence[str]) -> list[Reply]:
            return sample(
                model,
                self._chat,
                questions,
                generator=generator,
                temperature=self._decoding.temperature,
                top_p=self._decoding.top_p,
                max_new_tokens=self._decoding.max_new_tokens,
                batch_size=self._decoding.batch_size,
                stop_ids=self._stop_ids,
                prompt_length=self._prompt_length + 2,  # the other order may need a token or two more
                way=way,
                num_batches=batches,
            )

        replies = spread(model, questions, reply, batches * self._decoding.max_new_tokens)
        if all(
            found.missing not in (None, UNFINISHED) for found in replies
        ):  # the model, not a question, is what is wrong
            raise ProbeError(f"none of {len(replies)} replies could be drawn: {replies[0].missing}.")
        return replies

    def as_asked(self, draws: Sequence[Draw], replies: Sequence[Reply]) -> list[Asked]:
        """Replies with their questions, for a judge."""
        found = []
        for d, reply in zip(draws, replies, strict=True):
            topic, item = self._items[d.item]
            put = question(item, "two_sided", d.order)
            found.append(Asked(topic.id, topic.poles, item, "two_sided", d.order, put, reply.text, reply.missing))
        return found

    def identity(self) -> dict[str, str]:
        """What two measurements must share to be comparable."""
        sampler = IN_PROCESS if self.engine is None else self.engine.name
        return {**self._chat.identity(), "sampling": str(self._decoding), "sampler": sampler}


class Seeded:
    """Asks with random numbers that depend on a key alone, so that an observation repeats, whatever came before it.

    Args:
        interviewer: Puts draws to a model.
        seed: The run's seed; the same on every rank.
    """

    def __init__(self, interviewer: Interviewer, seed: int) -> None:
        self.interviewer, self._seed = interviewer, seed

    def ask(self, model: Any, draws: Sequence[Draw], key: tuple[int, ...]) -> list[Reply]:
        """One fresh reply per draw; inside the guard, on every rank."""
        return self.interviewer.ask(model, draws, np.random.SeedSequence([self._seed, *key]))

    def rng(self, *key: int) -> np.random.Generator:
        """A separate random generator for each key."""
        return np.random.default_rng(np.random.SeedSequence([self._seed, *key]))
