"""Judge: the protocol of whatever classifies a model's replies; it is frozen for the life of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from driftwatch.drift.abstained import UnclassifiedKind
from driftwatch.stance import Probs
from driftwatch.topics.question import Framing, Order
from driftwatch.topics.topic import Item


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and the model's reply.

    Attributes:
        topic: Id of the item's topic.
        poles: The topic's poles; judges of open replies need their names.
        item: The item that was asked.
        framing: The form of the question.
        order: 0 shows `item.sides[0]` first, 1 shows `item.sides[1]` first; 0 for open questions.
        question: The text that the model was asked, before any chat template.
        reply: The model's answer, without special tokens.
        missing: Why there is no reply, in which case no judge is asked; `None` if there is one.
    """

    topic: str
    poles: tuple[str, str]
    item: Item
    framing: Framing
    order: Order
    question: str
    reply: str
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge made of one reply.

    Exactly one of these holds: `probs` is set; `refusal` is true; `off_topic` is true; `unread` gives a reason.

    Attributes:
        probs: P(support, neutral, oppose); neutral means that the reply explicitly takes no side.
        refusal: Whether the reply declines to answer.
        off_topic: Whether the reply is about something else.
        unread: Why the judge leaves the reply unclassified; `None` if it does not.
        unread_kind: The kind of that reason, which matters only for an unclassified reply: "unclear" (nothing can be
            said with confidence), "tie" (two stances are equally likely), "refused" (the judge would not take this
            reply, for example because of a content filter), "no_verdict" (the answer was none of the labels),
            "unanswered" (no answer in time).
        votes: What each judge of a panel found; empty for a single judge.
    """

    probs: Probs | None = None
    refusal: bool = False
    off_topic: bool = False
    unread: str | None = None
    unread_kind: UnclassifiedKind = "unclear"
    votes: tuple["Vote", ...] = field(default=(), compare=False)


class Vote(NamedTuple):
    """What one of several judges made of a reply.

    Attributes:
        judge: A short name, unique among these judges.
        reading: The judgement; `None` if the judge failed.
        why: Why it failed; `None` if it did not.
    """

    judge: str
    reading: Judgement | None
    why: str | None = None


@runtime_checkable
class Judge(Protocol):
    """Classifies replies; its weights and prompt never change during a run."""

    @property
    def id(self) -> str:
        """Name, hash of the weights, and settings; part of the baseline's identity."""
        ...

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply, in order; a judge abstains rather than guesses."""
        ...
