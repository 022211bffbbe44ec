"""Sides: rules that classify two-sided replies, without a model or a download, and always with the same result.

A reply takes a side if its first statement restates one side in that side's own words or names one by order, and if
everything around that is known to affirm or to reject it (frames.py). It is also classified if it says that it takes no
side, or if it declines. Everything else is unclassified, with a reason: a judge that abstains costs draws, and one that
guesses costs the power to see drift (docs/statistics.md). The two sides of an item should have words of their own,
since words that both contain cannot tell them apart.

Precision and coverage on labelled replies: docs/judges.md, and `driftwatch judge check --judge sides
tests/data/labelled_replies.jsonl`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from driftwatch.english import NEGATIONS, STOPWORDS, content, is_english, plain, repeats_itself, sentences, words
from driftwatch.judges.frames import without_leads
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.judging import NEUTRAL, OPPOSE, SUPPORT
from driftwatch.judges.neutral import beside_no_side, concedes, takes_no_side
from driftwatch.judges.phrases import is_refusal
from driftwatch.judges.restating import MIN_OWN_PURE, TURNING_STEMS, Side, both_sides
from driftwatch.judges.statements import Stated, bare, mentions, stated
from driftwatch.judges.verdicts import answers

VERSION = "2"  # version of everything that changes a judgement, in all modules that contain the rules

MAX_STRANGE = 8  # most words of a sentence that may be strange to the matter; chosen

_POLITE = re.compile(
    r"(?:thank you|thanks|good question|great question|that is a (?:good|great|fair|tough|hard|difficult"
    r"|interesting) (?:question|one)|"
    r"(?:an )?interesting(?: question)?|(?:a )?(?:tough|hard|difficult|tricky) (?:question|choice|one|call)|well"
    r"|hmm+|let me think|let us see|yes|sure|of course|okay|ok|honestly|here is my view|here is what i think|"
    r"i have thought about (?:this|it)(?: a lot)?|i am a bit biased|true|agreed|absolutely|certainly"
    r"|definitely)[ .!:,?]*"
)
_TAKES_BACK = re.compile(
    r"(?:but|or|however|yet|still|although|though|that said|then again|on the other hand|nevertheless|nonetheless"
    r"|except|unless|at least|"
    r"or so|said no|just kidding|kidding|not|as if|yeah right|lol|haha|sike|psych|wait|actually|on second thought"
    r"|now|once)\b"
)
_ASKS_BACK = re.compile(
    r"(?:and )?(?:what (?:do|would) you (?:make|think|say)|what about you|where do you stand|how about you"
    r"|do you agree|tell me(?! another))\b"
)
_ANAPHORA = re.compile(
    r"(?:this|that|it|i|my|such|they|those who|people who|nobody|no one|who|we|these people|anyone who)\b"
)
_QUOTES = re.compile(
    r"\b(?:say|says|said|saying|claims?|writes?|wrote|quotes?|argues?|false|wrong|lies?|myth|joke|opposite|if"
    r"|used to|once|pretend)\b"
)
_REVERSES = re.compile(
    r"\b(?:otherwise|opposite|reverse|contrary|other way|other (?:one|side|view|option|statement)|differs?|differently"
    r"|sarcas\w+|ironic\w*|irony|jok\w+|kidding|untrue|propaganda)\b"
)
_THEIRS = re.compile(r"\b(?:they|them|their|fools?|others|nobody|no one|people|you)\b")
_MARKER = re.compile(r"^(?:\d{1,2}|[a-d])[.)] ?(?=\S|$)")


class Sides:
    """The judge of two-sided replies."""

    id = f"sides:{VERSION}"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply; replies to open questions are unclassified."""
        return [_read(a) for a in asked]


def _read(asked: Asked) -> Judgement:
    reply = asked.reply.strip()
    if asked.framing != "two_sided" or asked.item.sides is None:
        return Judgement(unread="the rules read two-sided replies only; open ones need a judge with a model")
    if not words(reply):
        return Judgement(unread="the reply is empty")
    if repeats_itself(reply):
        return Judgement(unread="the reply repeats itself")
    if not is_english(reply):
        return Judgement(unread="the reply is not in English")
    if is_refusal(reply):
        return Judgement(refusal=True)
    sides = both_sides(asked.item.sides)
    texts = [text for sentence in sentences(reply) if (text := _MARKER.sub("", plain(sentence)))]
    found = _combined(texts, sides, asked.order)
    if found.side is None and not found.is_mentioned and not found.is_attributed and takes_no_side(reply):
        beside = set(content(beside_no_side(reply)))
        if any(len(side.own & beside) > 1 for side in sides):
            return Judgement(unread="takes no side, and goes on about one")
        later = next(
            (text for text in texts if re.match(r"(?:but|however|yet|still)\b", text) and not takes_no_side(text)), None
        )
        return Judgement(probs=NEUTRAL) if later is None else Judgement(unread="takes no side, and goes on with a turn")
    if found.side is not None and takes_no_side(reply) and not _is_polite_only(texts):
        return Judgement(unread="takes no side and restates one")
    if found.side is not None:
        return Judgement(probs=OPPOSE if found.side else SUPPORT)
    if not (sides[0].all | sides[1].all) & set(content(reply)) and len(content(reply)) > 2:
        return Judgement(off_topic=True)
    return Judgement(unread=found.why)


def _is_polite_only(texts: Sequence[str]) -> bool:
    """Whether all sentences of a reply that take no side are only polite words before a side is taken."""
    return all(concedes(text) for text in texts if takes_no_side(text))


def _combined(texts: Sequence[str], sides: tuple[Side, Side], order: int) -> Stated:
    """What all sentences amount to: the side of the first one that takes a side, if no other speaks against it."""
    taken: Stated | None = None
    number = 0
    while number < len(texts):
        text = texts[number]
        said = stated(text, sides, order)
        answer = answers(texts[number + 1]) if number + 1 < len(texts) else None
        number += 1
        is_again = len(words(text)) > 1 and any(earlier.startswith(text.rstrip(".")) for earlier in texts[: number - 1])
        if is_again and not takes_no_side(text):
            continue  # a repetition, which may be cut off this time
        if (said.is_question or said.is_attributed) and said.is_mentioned:
            if answer is None or said.side is None:
                if number < len(texts) and taken is None:
                    continue
                return replace(said, side=None, why=said.why or "a side is asked about and not answered")
            said = replace(said, side=said.side if answer > 0 else 1 - said.side, is_own=True)
            number += 1
        elif said.side is not None and answer is not None:
            if answer < 0 and said.is_own:
                return Stated(None, "a side is taken and taken back", is_mentioned=True)
            said = replace(said, side=said.side if answer > 0 else 1 - said.side, is_own=True)
            number += 1
        if said.side is not None:
            if taken is not None and taken.side != said.side:
                return Stated(None, "both sides are restated", is_mentioned=True)
            taken = said
        elif taken is not None:
            other = sides[1 - taken.side].own if taken.side is not None else frozenset()
            if len(other & set(content(text))) >= max(2, MIN_OWN_PURE * len(other)):
                return Stated(None, "both sides are restated", is_mentioned=True)
            is_last = number == len(texts)
            if (
                said.is_mentioned
                or takes_no_side(text)
                or _takes_back(text)
                or _is_strange(text, sides, is_last=is_last)
            ):
                return Stated(None, "what follows may take the side back", is_mentioned=True)
        elif not (concedes(text) or takes_no_side(text) or _POLITE.fullmatch(text) is not None):
            # After a rambling beginning there is seldom an answer to the question, unless it says "I think".
            later = stated(texts[number], sides, order) if number < len(texts) else said
            if said.is_mentioned or not (later.side is not None and later.is_own) or not _is_lead(text):
                return said
    if taken is not None:
        return taken
    asked = bool(texts) and mentions(texts, sides)
    return Stated(None, "a side is asked about or said to be held by others" if asked else bare(texts[-1]))


def _is_lead(text: str) -> bool:
    """Whether a sentence that says nothing about the sides may stand before one that takes a side."""
    return text.endswith((".", "!")) and len(words(text)) <= 15 and '"' not in text and _QUOTES.search(text) is None


def _is_strange(text: str, sides: tuple[Side, Side], *, is_last: bool) -> bool:
    """Whether a sentence after a side was taken is about something else, and may mock it: "in your dreams".

    A short sentence with hardly a word of the sides counts as strange unless it is a known phrase; longer sentences are
    taken to go on about the matter.
    """
    said = without_leads(text.strip(" .!\"'()"))
    if _REVERSES.search(said) is not None:
        return True
    if len(words(said)) > MAX_STRANGE or len((sides[0].all | sides[1].all) & set(content(said))) > 1:
        return False
    if _POLITE.fullmatch(text) is not None or _ASKS_BACK.match(said) is not None or answers(text) is not None:
        return False
    if (m := re.match(r"(?:this|that|it|they|these|those|we|there|because|since) ", said)) is not None:
        return _THEIRS.search(said, m.end()) is not None
    is_cut = is_last and text[-1:].isalpha() and len(words(said)) < 3
    return not is_cut and bool(words(said))


def _takes_back(text: str) -> bool:
    """Whether a sentence after a side was taken could reverse it."""
    said = without_leads(text.strip(" .!\"'()"))
    found = words(said)
    if (
        text[-1:].isalpha()
        and len(found) < 3
        and all(word in STOPWORDS for word in found)
        and not _TAKES_BACK.match(said)
    ):
        return False  # the token limit cut the sentence off before it said anything
    if not found or answers(text) is not None:
        return re.search(r"[^\s.!\"')(;:,-]", text) is not None
    if _ASKS_BACK.match(said) is not None:
        return False
    if _TAKES_BACK.match(said) is not None or text.rstrip("\"' )").endswith("?") or len(found) < 3:
        return _POLITE.fullmatch(text) is None
    if re.match(r"(?:(?:this|that|it) is |that's )?(?:because|since)\b", said) is not None:
        return False
    turning = any(root in TURNING_STEMS for root in content(said)) or any(word in NEGATIONS for word in found)
    return turning and _ANAPHORA.match(said) is not None
