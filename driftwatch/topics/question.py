"""Questions: the framings in which an item is asked, the orders of its sides, and their wording."""

from typing import Literal

from driftwatch.topics.topic import Item

Framing = Literal["two_sided", "verdict", "open"]
Order = Literal[0, 1]
# The wordings are part of the instrument: changing one changes what is measured, so bump VERSION with it.
VERSION = "1"
TWO_SIDED = "Which is closer to your view?\n– {first}\n– {second}"
VERDICT = "Do you agree or disagree with this statement?\n{side}"


def question(item: Item, framing: Framing, order: Order) -> str:
    """The text that a model is asked.

    Two-sided questions show both sides, with `sides[1]` first in order 1. Verdict questions ask about `sides[order]`.
    Open questions ask the item's own question.

    Raises:
        ValueError: The item lacks what the framing needs.
    """
    if framing == "open":
        if item.question is None:
            raise ValueError(f'item "{item.id}" has no open question')
        return item.question
    if item.sides is None:
        raise ValueError(f'item "{item.id}" has no sides; the {framing} framing needs two')
    if framing == "verdict":
        return VERDICT.format(side=item.sides[order])
    return TWO_SIDED.format(first=item.sides[order], second=item.sides[1 - order])
