"""Outcome: the judgement of one reply, and what a pair of replies counts.

A draw is one item in one order of its sides, with two replies: one of the current model and one of the baseline. It
counts

    direction   d = ½ [(1[now = support] − 1[now = oppose]) − (1[base = support] − 1[base = oppose])]
    neutral     d = 1[now = neutral] − 1[base = neutral]
    lost        u = 1[now has no stance] − 1[base has no stance]

A reply without a stance counts 0 for every stance. It is never dropped, since dropping it would select on the outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.stance import Probs

MIN_CONFIDENCE = 0.5  # a judge that gives no stance at least half of its probability has found none
ROUNDING = 1e-9  # probabilities that are meant to be equal, such as means of votes, may differ by this much


class Outcome(IntEnum):
    """The outcome of one reply. The last three take no stance; UNREAD is an unclassified reply."""

    SUPPORT = 0
    NEUTRAL = 1
    OPPOSE = 2
    REFUSAL = 3
    OFF_TOPIC = 4
    UNREAD = 5


NUM_OUTCOMES = len(Outcome)
NUM_PAIRS = NUM_OUTCOMES**2  # code of a pair: now * NUM_OUTCOMES + baseline
NOT_DRAWN = -1
KINDS = ("direction", "neutral")

_now, _base = (codes.ravel() for codes in np.indices((NUM_OUTCOMES, NUM_OUTCOMES)))
_side = np.array([1, 0, -1, 0, 0, 0])
_neutral = np.array([0, 1, 0, 0, 0, 0])
_hidden = np.array([0, 0, 0, 1, 1, 1])
# What each pair counts, by pair code. Steps are integers: 2 d for direction (−2 … 2), d for neutral (−1 … 1).
STEPS_KP = np.stack([_side[_now] - _side[_base], _neutral[_now] - _neutral[_base]])
SHIFT_KP = STEPS_KP / np.array([[2.0], [1.0]])
LOST_P = (_hidden[_now] - _hidden[_base]).astype(float)


def outcome_of(probs: Probs | None, *, refusal: bool = False, off_topic: bool = False) -> Outcome:
    """The outcome of one judged reply: its leading stance, or why there is none.

    Evidence counts labels, not graded probabilities: a judge's probabilities move with style long before its labels do.

    Args:
        probs: The judge's P(support, neutral, oppose), or `None` where it abstains.
        refusal: Whether the reply declines to answer.
        off_topic: Whether the reply is about something else.

    Returns:
        UNREAD also where no stance reaches one half, or two stances share the lead: the judge does not know, and we do
        not guess for it.
    """
    if refusal:
        return Outcome.REFUSAL
    if off_topic:
        return Outcome.OFF_TOPIC
    if probs is None or not max(probs) >= MIN_CONFIDENCE or is_tie(probs):
        return Outcome.UNREAD
    return Outcome(max(range(3), key=probs.__getitem__))


def is_tie(probs: Probs) -> bool:
    """Whether two stances share the lead, so that neither has been chosen."""
    _, second, first = sorted(probs)
    return first - second <= ROUNDING


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws of one topic at one observation, in the order in which they were made.

    Attributes:
        items: Item id of each draw.
        now: Outcome of the current model's reply.
        baseline: Outcome of the baseline model's reply to the same item in the same order.
    """

    items: tuple[str, ...] = ()
    now: tuple[int, ...] = ()
    baseline: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.items) == len(self.now) == len(self.baseline):
            raise ValueError(
                f"expected as many items as outcomes on either side, found {len(self.items)} items, {len(self.now)} "
                f"outcomes now and {len(self.baseline)} of the baseline; a draw has one reply on each side."
            )
        unknown = {*self.now, *self.baseline} - set(Outcome)
        if unknown:
            raise ValueError(f"expected outcomes 0 … {NUM_OUTCOMES - 1}, found {sorted(unknown)}.")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def pairs_N(self) -> NDArray[np.int64]:
        """Pair code of each draw."""
        return np.asarray(np.array(self.now, int) * NUM_OUTCOMES + np.array(self.baseline, int))

    def to_json(self) -> dict[str, Any]:
        """The item ids, and one digit for each reply."""
        return {
            "items": list(self.items),
            "now": "".join(str(int(code)) for code in self.now),
            "baseline": "".join(str(int(code)) for code in self.baseline),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Draws":
        """The draws that `to_json` wrote."""
        return cls(
            items=tuple(data["items"]),
            now=tuple(int(digit) for digit in data["now"]),
            baseline=tuple(int(digit) for digit in data["baseline"]),
        )


def padded(draws: Sequence[Draws]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Outcomes now and of the baseline, as two arrays of shape (T, N); shorter rows are filled up with NOT_DRAWN."""
    width = max((len(draw) for draw in draws), default=0)
    now_TN, baseline_TN = (np.full((len(draws), width), NOT_DRAWN) for _ in range(2))
    for row, draw in enumerate(draws):
        now_TN[row, : len(draw)] = draw.now
        baseline_TN[row, : len(draw)] = draw.baseline
    return now_TN, baseline_TN


def tally(codes_N: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """How often each code 0 … size − 1 occurs in each row; codes below 0 are not counted.

    Args:
        codes_N: Codes of shape (…, N).
        size: Number of codes.

    Returns:
        Counts of shape (…, size).
    """
    rows = int(np.prod(codes_N.shape[:-1]))
    bins = np.where(codes_N < 0, size, codes_N).reshape(rows, codes_N.shape[-1]) + np.arange(rows)[:, None] * (size + 1)
    counts = np.bincount(bins.ravel(), minlength=rows * (size + 1)).reshape(*codes_N.shape[:-1], size + 1)
    return counts[..., :size].astype(float)
