"""Judge: who reads the replies of a model, frozen for the life of a run."""

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
        order: 0 shows `item.sides[0]` first, 1 shows `item.sides[1]` first; 0 for open questions.
        question: The text that the model was asked, before any chat template.
        reply: What it answered, special tokens removed.
        missing: Why there is no reply to read; no judge is asked about it then. `None` where there is one.
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

    Exactly one of these holds: `probs` is set; `refusal`; `off_topic`; `unclassified` says why nothing could be read.

    Attributes:
        probs: P(support, neutral, oppose), neutral meaning that the reply explicitly takes no side.
        refusal: The reply declines to answer.
        off_topic: The reply is about something else.
        unclassified: Why the judge abstains; `None` where it does not.
        unread_kind: Of what kind that reason is: "unclear" (nothing can be read with confidence), "tie" (two stances
            lead alike), "refused" (whoever reads would not take this reply, for example a content filter), "no_verdict"
            (the answer was none of the labels), "unanswered" (no answer in time). Only of a reading that is
            unclassified.
        votes: What each of several judges found, where they read together; empty otherwise.
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
        judge: A short name, unique among them.
        reading: `None` where the judge failed.
        why: Why it did; `None` where it did not.
    """

    judge: str
    reading: Judgement | None
    why: str | None = None


@runtime_checkable
class Judge(Protocol):
    """Reads replies; its weights and prompt never change during a run."""

    @property
    def id(self) -> str:
        """Name, weights hash, settings: part of the baseline's identity."""
        ...

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One reading a reply, in order; abstains rather than guesses."""
        ...
