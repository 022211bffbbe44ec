"""Judging: asks a judge, checks what comes back, and turns a judgement into an outcome.

Judges may be anybody's code, so failures are caught here: whatever a judge does wrong becomes one `JudgeError`.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from driftwatch.drift.abstained import UNCLASSIFIED_KINDS
from driftwatch.drift.outcome import is_tie, outcome_of
from driftwatch.errors import JudgeError
from driftwatch.judges.judge import Asked, Judge, Judgement
from driftwatch.stance import STANCES, Probs

logger = logging.getLogger(__name__)

Outcome = Literal["support", "neutral", "oppose", "refusal", "off_topic", "unread"]
# Same order as `drift.outcome.Outcome`, whose codes are indices into this tuple.
OUTCOMES: tuple[Outcome, ...] = ("support", "neutral", "oppose", "refusal", "off_topic", "unread")

SUPPORT = Probs(1.0, 0.0, 0.0)
NEUTRAL = Probs(0.0, 1.0, 0.0)
OPPOSE = Probs(0.0, 0.0, 1.0)


def read(judge: Judge, asked: Sequence[Asked], *, expected_id: str | None = None) -> list[Judgement]:
    """One valid judgement per reply, in order; if two stances are equally likely, the reply is unclassified as a tie.

    A missing reply is unclassified for that reason, and the judge is not asked about it.

    Args:
        judge: Any implementation.
        asked: The replies to judge, with their questions; may be empty.
        expected_id: The judge's id at the baseline; `None` if there is none to compare with.

    Raises:
        JudgeError: The judge is not the baseline's, failed, or returned something that is not a judgement.
    """
    if expected_id is not None and judge.id != expected_id:
        raise JudgeError(
            f"the judge changed: the baseline was read by {expected_id}, and this one is {judge.id}. "
            "Replies of two judges cannot be compared; use the first one, or make a new baseline."
        )
    there = [one for one in asked if one.missing is None]
    if len(there) < len(asked):
        found = iter(read(judge, there))
        return [next(found) if one.missing is None else Judgement(unread=one.missing) for one in asked]
    if not asked:
        return []
    try:
        readings = judge.read(asked)
    except JudgeError:
        raise
    except Exception as err:  # a judge is anybody's code, and this is the border
        raise JudgeError(f"judge {judge.id} failed with {type(err).__name__}: {err}") from err
    if len(readings) != len(asked):
        raise JudgeError(f"judge {judge.id} returned {len(readings)} readings for {len(asked)} replies.")
    for reading in readings:
        if (fault := _fault(reading)) is not None:
            raise JudgeError(f"judge {judge.id} returned {reading}: {fault}.")
    return [_untied(reading) for reading in readings]


def read_again(judge: Judge, asked: Sequence[Asked], *, expected_id: str | None = None) -> list[Judgement] | None:
    """Second judgements of replies that a judge has read before; `None` if there are none, or the judge fails now.

    They measure how far the judge disagrees with itself. A failure here must not fail an observation whose replies are
    judged already.
    """
    if not asked:
        return None
    try:
        return read(judge, asked, expected_id=expected_id)
    except JudgeError as err:
        logger.warning("how far the judge agrees with itself was not measured: %s", err)
        return None


def outcome(reading: Judgement) -> Outcome:
    """The outcome of a judgement as the evidence counts it, by its name in `drift.outcome`."""
    return OUTCOMES[outcome_of(reading.probs, refusal=reading.refusal, off_topic=reading.off_topic)]


def _untied(reading: Judgement) -> Judgement:
    if reading.probs is None or not is_tie(reading.probs):
        return reading
    leading = [stance for stance, p in zip(STANCES, reading.probs, strict=True) if p >= 1 / 3]
    return replace(reading, probs=None, unread=f"a tie: {' and '.join(leading)} are equally likely", unread_kind="tie")


def _fault(reading: object) -> str | None:
    if not isinstance(reading, Judgement):
        return "expected a Judgement"
    said = [reading.probs is not None, reading.refusal, reading.off_topic, reading.unread is not None]
    if sum(said) != 1:
        return "expected exactly one of probs, refusal, off_topic and unread"
    if reading.unread_kind not in UNCLASSIFIED_KINDS:
        return f"expected unread_kind as one of {', '.join(UNCLASSIFIED_KINDS)}"
    if reading.probs is not None:
        if len(reading.probs) != 3 or not all(math.isfinite(p) and p >= 0 for p in reading.probs):
            return "expected three probabilities of support, neutral and oppose"
        if abs(sum(reading.probs) - 1) > 1e-3:
            return "expected probabilities that sum to 1"
    return None
