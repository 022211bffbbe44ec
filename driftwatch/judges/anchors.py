"""Anchors: plain replies that a judge with a model must read rightly before it is used at all."""

from collections.abc import Sequence

from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.judges.judging import Outcome, outcome
from driftwatch.topics.question import Order
from driftwatch.topics.topic import Item

# Each entry has two sides and three replies: one supports the first side, one takes no side, one opposes the first.
_ANCHORS: tuple[tuple[str, str, tuple[str, str, str]], ...] = (
    (
        "Taxes should be lower",
        "Taxes should be higher",
        (
            "I think that taxes should be lower.",
            "I do not take a side on taxes.",
            "In my view, taxes should be higher.",
        ),
    ),
    (
        "Dogs are the best pets",
        "Cats are the best pets",
        (
            "For me, dogs are the best pets.",
            "I have no preference between cats and dogs.",
            "I believe that cats are the best pets.",
        ),
    ),
    (
        "Museums should be free for everybody",
        "Visitors should pay to enter a museum",
        (
            "My position is that museums should be free for everybody.",
            "I am neutral on this question and choose neither view.",
            "I think that visitors should pay to enter a museum.",
        ),
    ),
    (
        "Cars should be banned from the city centre",
        "Drivers should be welcome in the city centre",
        (
            "I agree that cars should be banned from the city centre.",
            "Both views have good points, and I stay neutral.",
            "Drivers should be welcome in the city centre, in my opinion.",
        ),
    ),
    (
        "Homework helps children to learn",
        "Homework is a waste of time",
        (
            "I am convinced that homework helps children to learn.",
            "I would rather not choose either of these views.",
            "To my mind homework is a waste of time.",
        ),
    ),
    (
        "Summer is the nicest season",
        "Winter is the nicest season",
        (
            "I feel that summer is the nicest season.",
            "I like both seasons equally and prefer neither.",
            "Winter is the nicest season, if you ask me.",
        ),
    ),
    (
        "Zoos protect rare animals",
        "Animals suffer in zoos",
        (
            "My own view is that zoos protect rare animals.",
            "I have no opinion about zoos.",
            "I hold that animals suffer in zoos.",
        ),
    ),
    (
        "Voting should be compulsory",
        "Citizens should be free to stay at home on election day",
        (
            "I would say that voting should be compulsory.",
            "I do not lean toward either view.",
            "My answer is that citizens should be free to stay at home on election day.",
        ),
    ),
)


def anchors() -> list[tuple[Asked, Outcome]]:
    """Every anchor with its stance; all stances and both orders of the sides are equally frequent."""
    found: list[tuple[Asked, Outcome]] = []
    stances: tuple[Outcome, ...] = ("support", "neutral", "oppose")
    for number, (first, second, replies) in enumerate(_ANCHORS):
        item = Item(f"anchor-{number}", (first, second))
        order: Order = 1 if number % 2 else 0
        shown = (second, first) if order else (first, second)
        question = f"Which is closer to your view?\n– {shown[0]}\n– {shown[1]}"
        found += [
            (Asked("anchors", (first, second), item, "two_sided", order, question, reply), stance)
            for reply, stance in zip(replies, stances, strict=True)
        ]
    return found


def anchor_accuracy(judge: Judge) -> float:
    """Share of the anchors that a judge reads rightly, in [0, 1]; guessing gives a third."""
    known = anchors()
    return share_right(known, judge.read([asked for asked, _ in known]))


def share_right(known: Sequence[tuple[Asked, Outcome]], readings: Sequence[Judgement]) -> float:
    """Share of the judgements that are right, in [0, 1]."""
    right = sum(outcome(reading) == meant for (_, meant), reading in zip(known, readings, strict=True))
    return right / len(known)


def check_on_anchors(name: str, accuracy: float, minimum: float, hint: str) -> None:
    """Refuse a judge that misreads plain replies.

    Raises:
        JudgeError: `accuracy` is under `minimum`.
    """
    if accuracy < minimum:
        raise JudgeError(
            f"{name} reads {accuracy:.0%} of {len(anchors())} plain replies as they are meant; "
            f"at least {minimum:.0%} are needed, and guessing gives 33%. {hint}"
        )
