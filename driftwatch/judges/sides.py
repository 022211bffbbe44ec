"""Sides: rules that read two-sided replies; no model, nothing to download, the same verdict for ever.

A reply is read where its first statement restates one side in that side's own words, names one by order, or negates
the other; where it says that it takes none; or where it declines. Everything else is unread, and says why: a judge that
abstains costs draws, one that guesses costs the power to see drift (docs/statistics.md). Sides should differ in words
of their own; what both say cannot tell them apart.

Precision and coverage on labelled replies: docs/judges.md, and `driftwatch judge check --judge sides
tests/data/labelled_replies.jsonl`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.judges.judge import Asked, Reading
from driftwatch.judges.phrases import (
    after_but,
    compared,
    concedes,
    is_refusal,
    named_by_order,
    takes_no_side,
    turns,
    without_frame,
)
from driftwatch.judges.reading import NEUTRAL, OPPOSE, SUPPORT
from driftwatch.judges.words import content, is_english, num_negations, repeats_itself, sentences, words

VERSION = "1"  # of everything that changes a reading, words.py and phrases.py included

# Chosen on replies to the claims marked "rules" in tests/data/labelled_replies.jsonl. Those marked "held_back" measure
# the rules: they are not for looking at while writing them (tests/data/labelled_replies.md).
MIN_OWN = 0.6  # share of a side's own words that a restatement has
MIN_OWN_PURE = 0.4  # the same of a restatement without a word from elsewhere, such as one that was cut off
MIN_OWN_NEGATED = 0.75  # the same where a "not" too many or too few makes it the opposite
MAX_OTHER = 0.2  # share of the other side's own words that it may have beside them
MAX_FOREIGN = 0.34  # share of its words that are in neither side


@dataclass(frozen=True, slots=True)
class _Side:
    """One side, as the rules see it: its words, and those that the other side lacks."""

    all: frozenset[str]
    own: frozenset[str]
    negations: int
    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stated:
    """Which side a statement is about: 0 or 1 of the item's sides; `None` with the reason why that is not clear."""

    side: int | None
    why: str = ""


class Sides:
    """The judge of two-sided replies."""

    id = f"sides:{VERSION}"

    def read(self, asked: Sequence[Asked]) -> list[Reading]:
        """One reading a reply; replies to open questions are unread."""
        return [_read(a) for a in asked]


def _read(asked: Asked) -> Reading:
    reply = asked.reply.strip()
    if asked.framing != "two_sided" or asked.item.sides is None:
        return Reading(unread="the rules read two-sided replies only; open ones need a judge with a model")
    if not words(reply):
        return Reading(unread="the reply is empty")
    if repeats_itself(reply):
        return Reading(unread="the reply repeats itself")
    if not is_english(reply):
        return Reading(unread="the reply is not in English")
    if is_refusal(reply):
        return Reading(refusal=True)
    sides = _sides(asked.item.sides)
    said = [_stated(sentence, sides, asked.order) for sentence in _claims(reply)]
    chosen = [stated.side for stated in said if stated.side is not None]
    if takes_no_side(reply):
        return Reading(unread="takes no side and restates one") if chosen else Reading(probs=NEUTRAL)
    if concedes(reply) and not chosen:
        return Reading(probs=NEUTRAL)
    if len(set(chosen)) > 1:
        return Reading(unread="both sides are restated")
    # What comes after a rambling beginning is seldom an answer to the question.
    if said[0].side is not None:
        return Reading(probs=OPPOSE if said[0].side else SUPPORT)
    if not (sides[0].all | sides[1].all) & set(content(reply)) and len(content(reply)) > 2:
        return Reading(off_topic=True)
    return Reading(unread=said[0].why)


def _claims(reply: str) -> list[str]:
    """The sentences of a reply that claim something, after the polite ones that lead to them."""
    found = sentences(reply)
    while len(found) > 1 and concedes(found[0]):
        found = found[1:]
    return found


def _sides(texts: tuple[str, str]) -> tuple[_Side, _Side]:
    first, second = (frozenset(content(text)) for text in texts)
    return (
        _Side(first, first - second, num_negations(texts[0]), tuple(turns(texts[0]))),
        _Side(second, second - first, num_negations(texts[1]), tuple(turns(texts[1]))),
    )


def _stated(sentence: str, sides: tuple[_Side, _Side], order: int) -> _Stated:
    """The side that a sentence takes."""
    if (named := named_by_order(sentence)) is not None:
        return _Stated(named if order == 0 else 1 - named)
    statement, negated = without_frame(after_but(sentence))
    if words(statement) in (["yes"], ["no"]):
        return _Stated(None, "a bare yes or no does not say to which side")
    restated = [_restates(statement, sides[side], sides[1 - side]) for side in (0, 1)]
    if not any(restated):
        if (parts := compared(statement)) is not None:
            return _compared(parts, sides)
        return _Stated(None, "no side is restated")
    side = restated.index(True)
    if _stutters(statement):
        return _Stated(None, "the statement says the same word again")
    if any(word not in sides[side].turns for word in turns(statement)):
        return _Stated(None, "the statement takes a turn")
    # "Cars should not be banned" restates "Cars should be banned" and says the opposite.
    if num_negations(statement) % 2 != sides[side].negations % 2:
        said = set(content(statement))
        if said - sides[side].all or len(said & sides[side].own) < MIN_OWN_NEGATED * len(sides[side].own):
            return _Stated(None, "a side is restated in part, with or without its negation")
        negated = not negated
    return _Stated(1 - side if negated else side)


def _restates(statement: str, side: _Side, other: _Side) -> bool:
    said = set(content(statement))
    if not said or not side.own:
        return False
    own = len(said & side.own) / len(side.own)
    others = len(said & other.own) / len(other.own) if other.own else 0.0
    foreign = len(said - side.all - other.all) / len(said)
    if not said - side.all and len(said & side.own) > 1:  # nothing but this side's words, though not all of them
        return own >= MIN_OWN_PURE
    return own >= MIN_OWN and others <= MAX_OTHER and foreign <= MAX_FOREIGN


def _stutters(statement: str) -> bool:
    """A restatement has each of its words once, or nearly so; "a desktop serves a desktop" is none."""
    said = content(statement)
    return len(said) - len(set(said)) > 1


def _compared(parts: tuple[str, str], sides: tuple[_Side, _Side]) -> _Stated:
    """The side before a "rather than" that has the other side after it."""
    for side in (0, 1):
        mine, other = sides[side], sides[1 - side]
        after = set(content(parts[1]))
        if _restates(parts[0], mine, other) and after & other.own and not after & mine.own and not turns(parts[0]):
            return _Stated(side)
    return _Stated(None, "no side is restated")
