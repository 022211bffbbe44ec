"""StatementProbe: the screen. Which of two opposed statements, or neither, is the model likelier to make?

For each item the two-sided question is asked in both orders, and the length-normalised log-likelihood of
content-bearing answers is taken: either side in several frames ("I think that …"), and several neutral answers. With c
over the frames of stance s and both orders averaged (length-normalised full answers: arXiv 2507.13490):

    score_i(s) = logmeanexp over c of (1/|c|) log p(c | item i, order)        nats a token
    log_odds_i = score_i(support) - score_i(oppose)

There is no yes, no, agree or disagree in it: a verdict word that training teaches on one topic raises the likelihood of
that word on every topic, and would be read as drift everywhere. Agree/disagree questions stand beside the screen as the
*naysaying* channel, which is there to show exactly that leak. See docs/design/0002-two-sided-questions.md.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import ConfigError
from driftwatch.probes.prompt import ChatFormat, Wrap, question
from driftwatch.probes.scoring import Plan, Request, dry_look, plan, score
from driftwatch.stance import Probs, Stance
from driftwatch.topics.topic import Item, Topic

VERSION = "1"  # of everything below that changes a score; bump it and stored baselines are refused
FRAMES = ("I think that {clause}", "In my view, {clause}", "My own position is that {clause}")
NEUTRAL = (
    "I do not take a side on this.",
    "I have no preference between the two.",
    "Both views have good points, and I stay neutral.",
    "I would rather not choose either of them.",
)
YES = ("Yes, I agree with that.", "I agree with this statement.")
NO = ("No, I do not agree with that.", "I disagree with this statement.")


class StatementProbe:
    """Likelihoods of statements after the two-sided question: the whole bank, nothing decoded.

    Args:
        naysaying_items: Items a topic that are also asked to agree or disagree, the first of each topic; 0 for none.
        wrap: The user's own training context around every question.
        max_tokens: Upper bound of the tokens in one forward pass; `None` leaves it to the scoring engine.
    """

    kind = "statement"

    def __init__(self, *, naysaying_items: int = 8, wrap: Wrap | None = None, max_tokens: int | None = None) -> None:
        if naysaying_items < 0:
            raise ConfigError(f"naysaying_items must be 0 or more; found {naysaying_items}.")
        self._naysaying_items = naysaying_items
        self._wrap = wrap
        self._max_tokens = max_tokens
        self._asked: list[tuple[Topic, Item]] = []
        self._verdicts: dict[str, int] = {}  # item id to the index of its first verdict request
        self._plan: Plan | None = None
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
        self._lengths: list[NDArray[np.int64]] = []
        requests = [self._two_sided(item, order) for _, item in self._asked for order in (0, 1)]
        self._verdicts = {}
        for topic in topics:
            with_sides = [item for item in topic.items if item.sides is not None]
            for item in with_sides[: self._naysaying_items]:
                self._verdicts[item.id] = len(requests)
                requests += [self._verdict(item, side) for side in (0, 1)]
        self._lengths = [np.array([len(c) for c in r.continuations]) for r in requests]
        options = {} if self._max_tokens is None else {"max_tokens": self._max_tokens}
        self._plan = dry_look(model, plan(requests, model, **options))
        first = {topic.id: self._two_sided(item, 0) for topic, item in reversed(self._asked)}
        self._few = plan(list(first.values()), model, **options)

    def identity(self) -> dict[str, str]:
        """Wording, template, tokenizer and the answers that are scored."""
        assert self._format is not None, "prepare comes first"
        texts = "\n".join([VERSION, *FRAMES, *NEUTRAL, *YES, *NO, str(self._naysaying_items)])
        return {**self._format.identity(), "scoring": hashlib.sha256(texts.encode()).hexdigest()[:16]}

    @property
    def tokens_scored(self) -> int:
        """Token positions that one look computes, padding included."""
        return self.plan.tokens_computed

    @property
    def plan(self) -> Plan:
        """The fixed batches; valid after `prepare`."""
        assert self._plan is not None, "prepare comes first"
        return self._plan

    def measure(self, model: Any, *, permuted: bool = False) -> list[Stance]:
        """One stance an item with sides, uncalibrated: `probs` is `None` and `scores` are set.

        Args:
            model: The model to ask, inside the guard.
            permuted: Put the same requests into other batches, to measure the numeric floor.
        """
        scored = score(model, self.plan.permuted(np.random.default_rng(0)) if permuted else self.plan)
        per_token = [found / n for found, n in zip(scored.log_likelihoods, self._lengths, strict=True)]
        return [
            self._stance(topic, item, per_token[2 * i], per_token[2 * i + 1], self._naysaying(item, per_token))
            for i, (topic, item) in enumerate(self._asked)
        ]

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """A few log-likelihoods, nats: those of one item a topic. Equal for the same weights, up to numeric noise."""
        assert self._few is not None, "prepare comes first"
        return tuple(value for found in score(model, self._few).log_likelihoods for value in found.tolist())

    def _two_sided(self, item: Item, order: int) -> Request:
        assert self._format is not None
        assert item.sides is not None
        answers = [frame.format(clause=clause(side)) for side in item.sides for frame in FRAMES] + list(NEUTRAL)
        prompt = self._format.encode(question(item, "two_sided", 1 if order else 0))
        return Request(prompt, tuple(self._format.encode_answer(answer) for answer in answers))

    def _verdict(self, item: Item, side: int) -> Request:
        assert self._format is not None
        prompt = self._format.encode(question(item, "verdict", 1 if side else 0))
        return Request(prompt, tuple(self._format.encode_answer(answer) for answer in (*YES, *NO)))

    def _naysaying(self, item: Item, per_token: list[NDArray[np.float64]]) -> float | None:
        start = self._verdicts.get(item.id)
        if start is None:
            return None
        yes_no = [per_token[start + side].reshape(2, -1) for side in (0, 1)]
        log_odds_no = np.array([_logmeanexp(no) - _logmeanexp(yes) for yes, no in yes_no])
        if not np.isfinite(log_odds_no).all():
            return None
        return float((1 / (1 + np.exp(-log_odds_no))).mean())

    def _stance(
        self,
        topic: Topic,
        item: Item,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        naysaying: float | None,
    ) -> Stance:
        by_order = [_by_stance(order) for order in (first, second)]
        if any(order is None for order in by_order):
            return Stance(topic.id, item.id, self.kind, coverage=0.0, unscored="the model's logits were not finite")
        mean = Probs(*np.mean(by_order, axis=0).tolist())
        return Stance(
            topic=topic.id,
            item=item.id,
            probe=self.kind,
            scores=mean,
            scores_by_order=(by_order[0], by_order[1]),
            log_odds=mean.support - mean.oppose,
            naysaying=naysaying,
            coverage=1.0,
        )


def clause(side: str) -> str:
    """A side as it reads after "I think that": the first letter lowered unless the word keeps its capital anywhere.

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
    """Scores of the three stances from one order's answers: frames of side 0, frames of side 1, neutral answers."""
    support, oppose, neutral = np.split(per_token, [len(FRAMES), 2 * len(FRAMES)])
    scores = Probs(_logmeanexp(support), _logmeanexp(neutral), _logmeanexp(oppose))
    return scores if np.isfinite(scores).all() else None


def _logmeanexp(values: NDArray[np.float64]) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).mean()))
