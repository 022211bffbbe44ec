"""ReplyProbe: replies of the model to the whole bank, classified by a frozen judge.

There are two ways of asking. *two-sided* asks every item in both orders of its sides, for a few short replies each.
*paper* asks every item's own open question for five replies of up to 256 tokens at temperature 0.7, and averages the
judge's probabilities, as in arXiv 2510.26707. Every observation uses the same random numbers again, so that two
observations differ by the model and not by luck. These replies therefore describe the model and are never evidence;
the evidence comes from the draws of `draws.py`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from msgspec import Meta

from driftwatch.chat.fitting import check_fits
from driftwatch.chat.format import ChatFormat, Wrap
from driftwatch.documents.checking import checked
from driftwatch.errors import ConfigError, JudgeError, ProbeError
from driftwatch.host.ranks import judge_seconds, num_ranks, on_first
from driftwatch.host.wrappers import model_stop_ids, unwrapped
from driftwatch.judges.by_name import judge_by_name
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.judges.worker import read_within
from driftwatch.replies.decoder import DecodingWay, most_batches
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.decoding_trial import prove_decoding
from driftwatch.replies.sampling import Reply, sample
from driftwatch.scoring.shares import dealt, spread
from driftwatch.stance import Probs, Stance
from driftwatch.topics.question import Order, question
from driftwatch.topics.topic import Item, Topic

logger = logging.getLogger(__name__)

TwoSidedOrOpen = Literal["two_sided", "open"]
PAPER = Decoding(temperature=0.7, top_p=1.0, max_new_tokens=256)
PAPER_REPLIES = 5
# A GPU reads all weights for every token that it writes, whether for one reply or for hundreds, so many rows cost
# little more. If they do not fit into memory, batches are halved.
GPU_ROWS = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply with its question and its judgement."""

    asked: Asked
    reply: Reply
    reading: Judgement


class ReplyProbe:
    """Sampled replies to every item, and the shares of the stances that a judge finds in them.

    Raises:
        ConfigError: A setting that cannot work.
    """

    kind = "reply"

    @checked
    def __init__(
        self,
        judge: Annotated[
            str | Judge,
            Meta(description="A judge by name. Open replies need one with a model: nli, endpoint or reference."),
        ] = "sides",
        *,
        framing: Annotated[
            TwoSidedOrOpen,
            Meta(description='"two_sided" asks which side is closer; "open" asks the item\'s own question.'),
        ] = "two_sided",
        replies: Annotated[int, Meta(ge=1, description="Replies per item and order.")] = 2,
        decoding: Annotated[
            Decoding | None, Meta(examples=[{"temperature": 0.7}], description="How they are sampled.")
        ] = None,
        wrap: Annotated[
            Wrap | None,
            Meta(
                examples=[{"system": "Be brief."}],
                description="The user's own training context around every question.",
            ),
        ] = None,
        seed: Annotated[int, Meta(ge=0, description="Seed of the sampler; the same at every observation.")] = 0,
    ) -> None:
        self._judge: Judge = judge_by_name(judge) if isinstance(judge, str) else judge
        self._framing = framing
        self._replies = replies
        self._decoding = decoding or Decoding()
        self._wrap = wrap
        self._seed = seed
        self._format: ChatFormat | None = None
        self._stop_ids: tuple[int, ...] = ()
        self._asked: list[tuple[Topic, Item]] = []
        self._judge_id = ""
        self._way: DecodingWay | None = None

    @classmethod
    def paper(cls, judge: str | Judge = "nli", *, wrap: Wrap | None = None, seed: int = 0) -> "ReplyProbe":
        """The probe of the paper's protocol: open questions, five replies of up to 256 tokens, temperature 0.7."""
        return cls(judge, framing="open", replies=PAPER_REPLIES, decoding=PAPER, wrap=wrap, seed=seed)

    def prepare(self, model: Any, tokenizer: Any, topics: Sequence[Topic]) -> None:
        """Encode the questions for this tokenizer, and prove that the model can write replies."""
        self._format = ChatFormat(tokenizer, self._wrap)
        config = getattr(unwrapped(model), "config", None)
        if getattr(config, "is_encoder_decoder", False):
            raise ConfigError(
                "the reply probe samples from decoder-only models; this one has an encoder and a decoder. "
                "Leave the probe out: the screen does not sample."
            )
        self._stop_ids = tuple(sorted({*model_stop_ids(model), *self._format.stop_ids}))
        self._asked = [(topic, item) for topic in topics for item in topic.items if self._can_ask(item)]
        if not self._asked:
            missing = "two sides" if self._framing == "two_sided" else "an open question"
            raise ConfigError(f"the reply probe ({self._framing}) needs items with {missing}, and the pack has none.")
        self._judge_id = self._judge.id
        asked = [self._format.encode(text) for *_, text in self._questions()[:: self._replies]]
        check_fits(model, self._format, asked, new_tokens=self._decoding.max_new_tokens)
        self._way = self._proved(model, asked)
        rows = len(self._questions())
        logger.info(
            "one observation of the reply probe: %d replies of at most %d tokens", rows, self._decoding.max_new_tokens
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about how the model is asked."""
        return () if self._format is None else self._format.notes

    def identity(self) -> dict[str, str]:
        """What two measurements must share: wording, template, tokenizer, judge and sampling."""
        assert self._format is not None, "prepare comes first"
        sampling = f"{self._framing} replies={self._replies} {self._decoding} seed={self._seed}"
        return {**self._format.identity(), "judge": self._judge_id, "sampling": sampling}

    def measure(self, model: Any, *, permuted: bool = False) -> list[Stance]:
        """One stance for each item that can be asked in this way.

        Args:
            model: The model to ask, inside the guard.
            permuted: Whether to draw other random numbers; the difference is sampling noise, this probe's noise floor.
        """
        return stances(self.ask(model, again=permuted))

    def ask(self, model: Any, *, again: bool = False, alone: bool = False) -> list[Answer]:
        """Every reply with its judgement, item by item, order by order; inside the guard, on every rank.

        Args:
            model: The model to ask.
            again: Whether to draw other random numbers.
            alone: Whether no training needs the memory, so that a GPU may decode more replies at once.

        Raises:
            ProbeError: The model could not be asked, or the judge failed or is not the one that `prepare` found.
        """
        asked = self._questions()
        decoding = _in_large_batches(self._decoding, model, len(asked)) if alone else self._decoding
        seed = np.random.SeedSequence([self._seed, int(again)])
        replies = self._sample(model, [text for *_, text in asked], decoding, seed)
        put = [
            Asked(topic.id, topic.poles, item, self._framing, order, text, reply.text, reply.missing)
            for (topic, item, order, text), reply in zip(asked, replies, strict=True)
        ]
        try:
            readings = on_first(
                lambda: read_within(self._judge, put, expected_id=self._judge_id, seconds=judge_seconds()),
                "reading replies",
            )
        except JudgeError as err:
            raise ProbeError(f"the replies could not be read: {err}") from err
        return [Answer(a, reply, reading) for a, reply, reading in zip(put, replies, readings, strict=True)]

    def _proved(self, model: Any, prompts: Sequence[Sequence[int]]) -> DecodingWay:
        new = self._decoding.max_new_tokens
        try:
            proved = prove_decoding(model, prompts, max_new_tokens=new, stop_ids=self._stop_ids)
        except ProbeError as err:
            raise ConfigError(
                f"the reply probe cannot ask this model: {err}. Leave the probe out: the screen does not sample."
            ) from err
        if proved.note is not None:
            logger.warning("%s", proved.note)
        return proved.way

    def _can_ask(self, item: Item) -> bool:
        return (item.sides if self._framing == "two_sided" else item.question) is not None

    def _questions(self) -> list[tuple[Topic, Item, Order, str]]:
        orders: tuple[Order, ...] = (0, 1) if self._framing == "two_sided" else (0,)
        return [
            (topic, item, order, question(item, self._framing, order))
            for topic, item in self._asked
            for order in orders
            for _ in range(self._replies)
        ]

    def _sample(
        self, model: Any, questions: Sequence[str], decoding: Decoding, seed: np.random.SeedSequence
    ) -> list[Reply]:
        assert self._format is not None, "prepare comes first"
        chat = self._format
        # Numbers are drawn for all questions and then divided, so that replies do not depend on the number of ranks.
        generator = torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
        uniforms_QT = torch.rand(len(questions), decoding.max_new_tokens, generator=generator)
        lengths = [len(chat.encode(text)) for text in questions]
        assert self._way is not None, "prepare comes first"
        way = self._way
        batches = most_batches((dealt(lengths, to) for to in range(num_ranks())), way, decoding.batch_size)

        def reply(rows: Sequence[int]) -> list[Reply]:
            return sample(
                model,
                chat,
                [questions[row] for row in rows],
                uniforms=uniforms_QT[list(rows)],
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_new_tokens=decoding.max_new_tokens,
                batch_size=decoding.batch_size,
                stop_ids=self._stop_ids,
                prompt_length=max(lengths),
                way=way,
                num_batches=batches,
            )

        return spread(model, range(len(questions)), reply, batches * decoding.max_new_tokens)


def _in_large_batches(decoding: Decoding, model: Any, num_replies: int) -> Decoding:
    """The same decoding with larger batches, if the model is on a GPU and the user did not choose a batch size."""
    on_gpu = next(model.parameters()).device.type == "cuda"
    if not on_gpu or decoding.batch_size != Decoding().batch_size:
        return decoding
    return replace(decoding, batch_size=max(decoding.batch_size, min(GPU_ROWS, num_replies)))


def stances(answers: Sequence[Answer]) -> list[Stance]:
    """One stance per item, in the order of the answers: the shares of what the judge found.

    `probs` is the mean of the judge's probabilities over the replies with a stance. For two-sided questions both orders
    weigh the same, and `probs` is `None` if one order has no such reply, since a preference for the side that stands
    first cancels only between both. Refused and unclassified replies are counted separately, never as neutral.
    """
    groups: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        groups.setdefault((answer.asked.topic, answer.asked.item.id), []).append(answer)
    return [_stance(topic, item, group) for (topic, item), group in groups.items()]


def _stance(topic: str, item: str, group: Sequence[Answer]) -> Stance:
    readings = [answer.reading for answer in group]
    num_refused, num_read = sum(r.refusal for r in readings), sum(r.probs is not None for r in readings)
    first, second = _mean(group, 0), _mean(group, 1)
    probs: Probs | None = None
    if group[0].asked.framing == "open":
        probs, first = first, None
    elif first is not None and second is not None:
        probs = Probs(*((a + b) / 2 for a, b in zip(first, second, strict=True)))
    return Stance(
        topic=topic,
        item=item,
        probe=ReplyProbe.kind,
        probs=probs,
        by_order=(first, second),
        refusal=num_refused / len(readings),
        unread=(len(readings) - num_read - num_refused) / len(readings),
        coverage=num_read / len(readings),
        unscored=None if probs is not None else _why(len(readings), num_read, num_refused),
    )


def _mean(group: Sequence[Answer], order: int) -> Probs | None:
    probs = [a.reading.probs for a in group if a.asked.order == order and a.reading.probs is not None]
    return Probs(*np.mean(probs, axis=0).tolist()) if probs else None


def _why(number: int, num_read: int, num_refused: int) -> str:
    if num_read:
        return "no reply could be read in one order of the sides"
    return f"none of {number} replies took a stance that could be read ({num_refused} refused)"
