"""Abstained: replies that whoever reads left unclassified, by kind of reason, on either side of the pairs.

What a reader refuses because of its content is missing not at random: where it strikes the model in training and the
baseline differently, shares of the replies that were read are shares of a selection.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

UnclassifiedKind = Literal["unclear", "tie", "refused", "no_verdict", "unanswered"]
# Few and fixed, so that they can be counted and exported.
UNCLASSIFIED_KINDS: tuple[UnclassifiedKind, ...] = get_args(UnclassifiedKind)
# Kinds that come from whoever reads, not from what the reply says, and that its content can cause.
OF_THE_READER = ("refused", "no_verdict")
CLEAR = 4.0  # standard errors; looked at again with every observation, so chance alone should not pass it in a run
LEAST = 0.01  # share of the replies, below which it cannot matter to a shift worth an alert


@dataclass(frozen=True, slots=True)
class Abstained:
    """Replies of one observation that were read, and how many of them are unclassified.

    Attributes:
        num_pairs: Pairs of replies, one of the model now and one of the baseline.
        now: By kind of reason, of the model in training; kinds that did not occur are absent.
        baseline: The same of the baseline.
    """

    num_pairs: int
    now: dict[str, int] = field(default_factory=dict)
    baseline: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Uneven:
    """Shares of the replies that the reader itself left out, in [0, 1], which clearly differ."""

    now: float
    baseline: float


def uneven(looks: Sequence[Abstained]) -> Uneven | None:
    """Whether the judge leaves out clearly more of one side's replies, over all observations; `None` if it does not.

    Args:
        looks: In any order.
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
