"""StatementProbe: the screen, which tells which of two opposed statements, or neither, the model is likelier to make.

For each item the two-sided question is asked in both orders, and the length-normalised log-likelihood of
content-bearing answers is taken: of either side in several frames ("I think that …"), and of several neutral answers.
With c running over the frames of stance s, and averaged over both orders (length-normalised full answers: arXiv
2507.13490):

    score_i(s) = logmeanexp over c of (1/|c|) log p(c | item i, order)        nats per token
    log_odds_i = score_i(support) - score_i(oppose)

The answers contain no yes, no, agree or disagree: if training teaches such a word on one topic, it becomes likelier on
every topic, and would look like drift everywhere. Agree/disagree questions are asked beside the screen as the
*naysaying* channel, whose purpose is to show exactly that leak. See docs/design/0002-two-sided-questions.md.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from driftwatch.chat.fitting import check_fits
from driftwatch.chat.format import ChatFormat, Wrap
from driftwatch.documents.checking import checked
from driftwatch.errors import ConfigError
from driftwatch.probes.blocks import stratified_blocks
from driftwatch.scoring.score import Plan, Request
from driftwatch.scoring.shares import plan_on_ranks, score_on_ranks
from driftwatch.stance import Probs, Stance
from driftwatch.topics.question import Order, question
from driftwatch.topics.topic import Item, Topic

BLOCK_ITEMS = 84  # about six items on each of fourteen topics
VERSION = "1"  # version of everything below that changes a score; raise it, and stored baselines are refused
FRAMES = ("I think that {clause}", "In my view, {clause}", "My own position is that {clause}")
NEUTRAL = (
    "I do not take a side on this.",
    "I have no preference between the two.",
    "Both views have good points, and I stay neutral.",
    "I would rather not choose either of them.",
)
YES = ("Yes, I agree with that.", "I agree with this statement.")
SIDES: tuple[Order, Order] = (0, 1)
NO = ("No, I do not agree with that.", "I disagree with this statement.")


class StatementProbe:
    """Likelihoods of statements after the two-sided question, for the whole bank and without decoding.

    The bank is divided into blocks that each hold items of every topic, so that an observation can be shortened and
    every question stays in its batch.

    Raises:
        ConfigError: A setting that cannot work.
    """

    kind = "statement"

    @checked
    def __init__(
        self,
        *,
        naysaying_items: Annotated[
            int,
            Meta(
                ge=0,
                description="Items per topic that are also asked as agree or disagree, the first of each topic; 0 for "
                "none.",
            ),
        ] = 8,
        wrap: Annotated[
            Wrap | None,
            Meta(
                examples=[{"system": "Be brief."}],
                description="The user's own training context around every question.",
            ),
        ] = None,
        block_items: Annotated[
            int,
            Meta(
                ge=1,
                description="Items per block, about; the first block, the core, is asked at every observation.",
            ),
        ] = BLOCK_ITEMS,
        max_tokens: Annotated[
            int | None,
            Meta(
                ge=1,
                examples=[4096],
                description="Upper bound of the tokens in one forward pass; `None` leaves it to the scoring engine.",
            ),
        ] = None,
    ) -> None:
        self._naysaying_items = naysaying_items
        self._wrap = wrap
        self._block_items = block_items
        self._options = {} if max_tokens is None else {"max_tokens": max_tokens}
        self._asked: list[tuple[Topic, Item]] = []
        self._blocks: list[_Block] = []
        self._few: Plan | None = None
        self._format: ChatFormat | None = None

    def prepare(self, model: Any, tokenizer: Any, topics: Sequence[Topic]) -> None:
        """Encode the bank and fix the composition of its batches."""
        self._format = ChatFormat(tokenizer, self._wrap)
        self._asked = [(topic, item) for topic in topics for item in topic.items if item.sides is not None]
        if not self._asked:
            raise ConfigError(
                "the statement probe needs items with two sides, and the pack has none; "
                "such a pack can be asked by the open reply protocol only."
            )
        by_topic: dict[str, list[str]] = {}
        for topic, item in self._asked:
            by_topic.setdefault(topic.id, []).append(item.id)
        verdicts = {item for items in by_topic.values() for item in items[: self._naysaying_items]}
        number = -(-len(self._asked) // self._block_items)
        indices = stratified_blocks([t.id for t, _ in self._asked], [i.id for _, i in self._asked], number)
        self._blocks = [self._block(model, block, verdicts) for block in indices]
        first = {topic.id: _two_sided(item, 0) for topic, item in reversed(self._asked)}
        few = self._format.encode_pairs(list(first.values()))
        self._few = plan_on_ranks([Request(one.prompt, one.answers) for one in few], model, **self._options)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about how the model is asked."""
        return () if self._format is None else self._format.notes

    def identity(self) -> dict[str, str]:
        """What two measurements must share: wording, template, tokenizer and the answers that are scored."""
        assert self._format is not None, "prepare comes first"
        texts = "\n".join([VERSION, *FRAMES, *NEUTRAL, *YES, *NO, str(self._naysaying_items)])
        return {**self._format.identity(), "scoring": hashlib.sha256(texts.encode()).hexdigest()[:16]}

    @property
    def num_blocks(self) -> int:
        """Number of blocks of the bank; valid after `prepare`."""
        return len(self._blocks)

    @property
    def plans(self) -> list[Plan]:
        """The fixed batches of each block; valid after `prepare`."""
        return [block.plan for block in self._blocks]

    def tokens_scored(self, blocks: Sequence[int] | None = None) -> int:
        """Token positions that the model computes, with padding, when some blocks are asked; `None` for all blocks."""
        return sum(block.plan.tokens_computed for block in self._chosen(blocks))

    def measure(self, model: Any, *, permuted: bool = False, blocks: Sequence[int] | None = None) -> list[Stance]:
        """One stance for each item with sides, uncalibrated: `probs` is `None` and `scores` are set.

        Args:
            model: The model to ask, inside the guard.
            permuted: Whether to put the same requests into other batches, to measure the numeric noise floor.
            blocks: Which blocks to ask; `None` for the whole bank.
        """
        found: dict[int, Stance] = {}
        for block in self._chosen(blocks):
            plan = block.plan.permuted(np.random.default_rng(0)) if permuted else block.plan
            log_likelihoods = score_on_ranks(model, plan).log_likelihoods
            per_token = [total / n for total, n in zip(log_likelihoods, block.lengths, strict=True)]
            for index, start, has_verdict in block.items:
                found[index] = self._stance(index, per_token[start : start + (4 if has_verdict else 2)])
        return [found[index] for index in sorted(found)]

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """The log-likelihoods of one item per topic, in nats; equal for the same weights up to numeric noise."""
        assert self._few is not None, "prepare comes first"
        return tuple(value for found in score_on_ranks(model, self._few).log_likelihoods for value in found.tolist())

    def _chosen(self, blocks: Sequence[int] | None) -> list["_Block"]:
        return self._blocks if blocks is None else [self._blocks[number] for number in blocks]

    def _block(self, model: Any, indices: Sequence[int], verdicts: set[str]) -> "_Block":
        assert self._format is not None
        asked: list[tuple[str, Sequence[str]]] = []
        items = []
        for index in indices:
            _, item = self._asked[index]
            items.append((index, len(asked), item.id in verdicts))
            asked += [_two_sided(item, 0), _two_sided(item, 1)]
            if item.id in verdicts:
                asked += [(question(item, "verdict", side), (*YES, *NO)) for side in SIDES]
        encoded = self._format.encode_pairs(asked)
        check_fits(model, self._format, [(*one.prompt, *answer) for one in encoded for answer in one.answers])
        requests = [Request(one.prompt, one.answers) for one in encoded]
        lengths = [np.array(one.lengths) for one in encoded]
        return _Block(tuple(items), plan_on_ranks(requests, model, **self._options), lengths)

    def _stance(self, index: int, per_token: list[NDArray[np.float64]]) -> Stance:
        """An item's stance, from log-likelihoods per token: of both orders, then of the verdicts if they were asked."""
        topic, item = self._asked[index]
        first, second = (_by_stance(order) for order in per_token[:2])
        if first is None or second is None:
            return Stance(topic.id, item.id, self.kind, coverage=0.0, unscored="the model's logits were not finite")
        mean = Probs(*np.mean([first, second], axis=0).tolist())
        return Stance(
            topic=topic.id,
            item=item.id,
            probe=self.kind,
            scores=mean,
            scores_by_order=(first, second),
            log_odds=mean.support - mean.oppose,
            frame_log_odds=_by_frame(per_token[:2]),
            naysaying=_naysaying(per_token[2:]),
            coverage=1.0,
        )


class _Block(NamedTuple):
    """A part of the bank that is asked together."""

    items: tuple[tuple[int, int, bool], ...]  # index in the bank, index of its first request, whether verdicts follow
    plan: Plan
    lengths: list[NDArray[np.int64]]  # tokens of each answer that carry its words, by request


def _two_sided(item: Item, order: Order) -> tuple[str, list[str]]:
    """The question and the answers that are scored: frames of side 0, frames of side 1, neutral answers."""
    assert item.sides is not None
    answers = [frame.format(clause=clause(side)) for side in item.sides for frame in FRAMES] + list(NEUTRAL)
    return question(item, "two_sided", order), answers


def clause(side: str) -> str:
    """A side as it stands after "I think that", in lower case unless its first word always has a capital letter.

    >>> clause("Borders should be open.")
    'borders should be open.'
    >>> clause("I prefer tea."), clause("DNA tests are useful.")
    ('I prefer tea.', 'DNA tests are useful.')
    """
    first = side.split(maxsplit=1)[0]
    if first.split("'")[0].split("’")[0] == "I" or (len(first) > 1 and not first[1:].islower()):
        return side
    return side[0].lower() + side[1:]


def _by_stance(per_token: NDArray[np.float64]) -> Probs | None:
    """Scores of the three stances, from one order's answers; `None` if they are not finite."""
    support, oppose, neutral = np.split(per_token, [len(FRAMES), 2 * len(FRAMES)])
    scores = Probs(_logmeanexp(support), _logmeanexp(neutral), _logmeanexp(oppose))
    return scores if np.isfinite(scores).all() else None


def _logmeanexp(values: NDArray[np.float64]) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).mean()))


def _by_frame(orders: list[NDArray[np.float64]]) -> tuple[float, ...]:
    """Log-odds of side 0 against side 1 in each frame, in nats per token, averaged over the orders."""
    support_minus_oppose = [order[: len(FRAMES)] - order[len(FRAMES) : 2 * len(FRAMES)] for order in orders]
    return tuple(np.mean(support_minus_oppose, axis=0).tolist())


def _naysaying(verdicts: list[NDArray[np.float64]]) -> float | None:
    """P(no) against yes, averaged over both sides, in [0, 1]; `None` if it was not asked or is not finite."""
    log_odds = []
    for per_token in verdicts:
        yes, no = np.split(per_token, [len(YES)])
        log_odds.append(_logmeanexp(no) - _logmeanexp(yes))
    if not log_odds or not np.isfinite(log_odds).all():
        return None
    return float((1 / (1 + np.exp(-np.array(log_odds)))).mean())
