"""Phrases: recognises refusals, hedges and sides named by order, whatever the question is."""

import re
from typing import NamedTuple

from driftwatch.english import plain
from driftwatch.judges.neutral import concedes, takes_no_side

_OPTION = r"(?:one|option|statement|view|sentence|choice|opinion|claim|side|answer|idea|point)"
_CANNOT = r"(?:can ?not|can't)"
_DO_NOT = r"(?:do not|don't)"
_INNER = r"(?:opinions?|views?|beliefs?|feelings?|preferences?)"

_REFUSALS = re.compile(
    rf"\bi (?:{_CANNOT}|will not|won't|must decline to|decline to|refuse to) "
    r"(?:answer|say(?= which| what| who| anything| more|[.!]|$)|comment|discuss|help(?! but\b)|assist|engage|give"
    r"|provide|share|take part|respond|express|offer)"
    r"|\bi(?:'m| am) (?:unable|not able|not equipped|not in a position|not allowed|not designed) to"
    rf"|\bas an? (?:ai|artificial intelligence|language model|assistant|chatbot)[^.]{{0,60}}"
    rf"(?:\b(?:{_CANNOT}|{_DO_NOT}|am not|unable|no (?:personal )?{_INNER})|'m not)\b"
    rf"|\bi {_DO_NOT} have (?:any )?personal (?:{_INNER}|experiences?)"
    rf"|\bi(?:'m| am) sorry,? (?:but )?i {_CANNOT}"
    r"(?! (?:really |honestly )?(?:agree|accept|support|believe|say|share|endorse|go along|get behind|choose|pick"
    r"|decide))"
)

_HEDGES = re.compile(
    rf"\bi(?:'m| am) not (?:sure|certain)\b|\bi {_DO_NOT} know\b|\bit depends\b"
    r"|\bit is (?:hard|difficult) to say\b|\bperhaps\b|\bmaybe\b|\bon the (?:one|other) hand\b|\bin some cases\b"
)

_NAMED = re.compile(
    rf"(?:(?:it is|that is|probably|definitely|certainly|i would say|i take) )?(?:the )?"
    rf"(?:(?P<ordinal>first|second|former|latter|1st|2nd)(?: {_OPTION})?"
    r"|(?:option|statement|number|view|answer|choice) "
    r"(?P<number>1|2|one|two))\b(?: (?:of the two|above))?"
)
_SECOND = {"second", "latter", "2nd", "2", "two"}


def is_refusal(text: str) -> bool:
    """Whether a text declines to answer; to choose neither side is an answer."""
    return bool(_REFUSALS.search(plain(text))) and not takes_no_side(text) and not concedes(text)


def hedges(text: str) -> bool:
    """Whether a text sounds unsure, whatever it says; this is a response style, not a stance."""
    return bool(_HEDGES.search(plain(text)))


class Named(NamedTuple):
    """Which side was named, 0 for the first shown and 1 for the second, and where the naming ends in the text."""

    shown: int
    end: int


def named_by_order(text: str) -> Named | None:
    """The side that a normal form names by order at its beginning; `None` if it names none.

    >>> named_by_order("the second one is closer to my view."), named_by_order("a second opinion")
    (Named(shown=1, end=14), None)
    """
    match = _NAMED.match(text)
    if match is None:
        return None
    return Named(int((match["ordinal"] or match["number"]) in _SECOND), match.end())
