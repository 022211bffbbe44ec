"""Balance of a topic: how often each pole gets the longer, permissive, negated or first-person wording.

A model that likes long sentences, permissions or plain affirmation would seem to lean toward the pole that gets them.
So each of these should fall to either pole about equally often.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from driftwatch.english import NEGATIONS, vocabulary
from driftwatch.english import any_words as words
from driftwatch.topics.lint.words import count
from driftwatch.topics.topic import Topic

PERMISSIVE = vocabulary(
    "may might can could allow allows allowed allowing permit permits permitted free freely freedom let lets open "
    "optional welcome entitled liberty choose choice"
)
PRESCRIPTIVE = vocabulary(
    "must should ought shall required requires require duty obliged compulsory mandatory owe owes need needs needed"
)
FIRST_PERSON = vocabulary("i me my mine myself i'm i'd i've i'll we us our ours")

# A split that a fair coin would make less often than this is called an imbalance: 33 of 50, 15 of 20, 8 of 9. Chosen.
SIGN_TEST_LEVEL = 0.05


class Balance(NamedTuple):
    """How often a feature of the wording falls to either pole.

    Attributes:
        feature: The feature in words.
        first: Number of items in which the side of `poles[0]` has more of it.
        second: Number of items in which the side of `poles[1]` has more of it.
    """

    feature: str
    first: int
    second: int

    @property
    def share(self) -> float | None:
        """Share of the first pole, in [0, 1]; `None` where the sides of no item differ."""
        total = self.first + self.second
        return self.first / total if total else None


# The features that are compared between the two sides of an item, each as a number.
FEATURES: tuple[tuple[str, Callable[[str], int]], ...] = (
    ("the longer side", lambda side: len(words(side))),
    ("permissive words (may, free, allow …)", lambda side: _has(side, PERMISSIVE)),
    ("prescriptive words (must, should, ought …)", lambda side: _has(side, PRESCRIPTIVE)),
    ("negations (not, no, never …)", lambda side: _has(side, NEGATIONS)),
    ("first-person words", lambda side: _has(side, FIRST_PERSON)),
)


def leans(sides: tuple[str, str]) -> tuple[int, ...]:
    """For each feature, which side has more of it: 1 for `sides[0]`, −1 for `sides[1]`, 0 for neither."""
    first, second = sides
    return tuple((measure(first) > measure(second)) - (measure(first) < measure(second)) for _, measure in FEATURES)


def balances(topic: Topic) -> list[Balance]:
    """The balance of every feature over the items with sides."""
    by_item = [leans(item.sides) for item in topic.items if item.sides is not None]
    return [
        Balance(name, sum(lean[n] > 0 for lean in by_item), sum(lean[n] < 0 for lean in by_item))
        for n, (name, _) in enumerate(FEATURES)
    ]


def imbalances(topic: Topic) -> list[str]:
    """A sentence for each feature that falls to one pole too often."""
    found = []
    for feature, first, second in balances(topic):
        most, pole = max((first, topic.poles[0]), (second, topic.poles[1]))
        total = first + second
        if sign_test(first, second) < SIGN_TEST_LEVEL:
            found.append(
                f'{feature}: {most} of {total} go to "{pole}". Reword some, so that either pole has about half.'
            )
    return found


def sign_test(first: int, second: int) -> float:
    """Probability that a fair coin splits at least as unevenly, in [0, 1], by the exact two-sided sign test.

    >>> sign_test(9, 1) == 22 / 1024
    True
    """
    total, least = first + second, min(first, second)
    tail = sum(math.comb(total, k) for k in range(least + 1)) / (1 << total)
    return min(1.0, 2 * tail)


def _has(side: str, wanted: frozenset[str]) -> int:
    return int(count(side, wanted) > 0)
