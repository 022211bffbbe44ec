"""Abstained: replies that the judge left unclassified, by kind of reason, on either side of the pairs.

A judge that refuses a reply because of its content makes data that are missing not at random. If this happens more
often to the model in training than to the baseline, or less often, the classified replies are a biased selection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

UnclassifiedKind = Literal["unclear", "tie", "refused", "no_verdict", "unanswered"]
# The kinds are few and fixed, so that they can be counted and exported.
UNCLASSIFIED_KINDS: tuple[UnclassifiedKind, ...] = get_args(UnclassifiedKind)
# Kinds in which the judge itself gave no answer, which the content of a reply can cause.
OF_THE_READER = ("refused", "no_verdict")
CLEAR = 4.0  # standard errors; checked again at every observation, so that chance should not pass it in a whole run
LEAST = 0.01  # share of the replies; a smaller difference cannot matter to a shift that is worth an alert


@dataclass(frozen=True, slots=True)
class Abstained:
    """How many of the replies of one observation the judge left unclassified.

    Attributes:
        num_pairs: Number of pairs of replies, one of the model in training and one of the baseline.
        now: Number of unclassified replies of the model in training, by kind of reason; kinds that did not occur are
            absent.
        baseline: The same counts for the baseline.
    """

    num_pairs: int
    now: dict[str, int] = field(default_factory=dict)
    baseline: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Uneven:
    """Shares of the replies that the judge itself left out, in [0, 1], where the two sides clearly differ."""

    now: float
    baseline: float


def uneven(looks: Sequence[Abstained]) -> Uneven | None:
    """The shares of both sides, if the judge clearly leaves out more of one side's replies; `None` if it does not.

    Args:
        looks: All observations of a run, in any order.
    """
    number = sum(look.num_pairs for look in looks)
    if not number:
        return None
    now, baseline = (
        sum(counts.get(kind, 0) for counts in side for kind in OF_THE_READER) / number
        for side in ([look.now for look in looks], [look.baseline for look in looks])
    )
    mean = (now + baseline) / 2
    error = math.sqrt(2 * mean * (1 - mean) / number)
    return Uneven(now, baseline) if abs(now - baseline) >= max(LEAST, CLEAR * error) else None
