"""Statements: which of two sides one sentence restates or names, and whether it affirms or rejects that side."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from driftwatch.english import content, words
from driftwatch.judges.frames import Frame, asks, frame_at
from driftwatch.judges.neutral import concedes
from driftwatch.judges.phrases import named_by_order
from driftwatch.judges.restating import MIN_OWN, TURNING_STEMS, Side, restated_at
from driftwatch.judges.verdicts import verdict_after

MAX_FRAMES = 6  # deeper nestings are not speech
_UNKNOWN = "what stands before the side is not known to affirm or to reject it"
_TAIL = "what follows the side is not known to affirm or to reject it"
_SPLIT = re.compile(
    r"(?:[,;:]|\s-+)?\s(but|yet|so|however|still|nevertheless|nonetheless),?\s|;\s|,\sand\s|;\s|,\s|\s-+\s|:\s"
)
_CONCEDING = re.compile(
    r"(?:while|although|though|even though|even if|whereas|despite|in spite of|granted|admittedly|as much as"
    r"|much as|unlike|"
    r"contrary to|rather than|instead of|as opposed to|having said that|that said)\b"
)
_ASIDE = re.compile(r"(?:while|although|though|even though|whereas|yes|granted|sure),? (?:that )?")
_COMPARED = re.compile(
    r"[ ,]*(?:rather than|instead of|over|and not|not|as opposed to|compared (?:to|with)|more than) "
)
_TURNS = ("but", "nevertheless", "nonetheless")  # other conjunctions, such as "yet" and "so", may precede an adjective
_SPEAKER = re.compile(r"(?:i|my|we|in my|to my|for me|to me|personally)\b")
_UNSURE = re.compile(r"\b(?:if|unless|until|were|would|used to|not|no|nope|nah|never|once)\b")


@dataclass(frozen=True, slots=True)
class Stated:
    """What one sentence says.

    Attributes:
        side: Which of the item's sides the sentence is about, 0 or 1; `None` if that is not clear.
        why: The reason if the side is not clear, or not the speaker's own; empty otherwise.
        is_own: Whether the speaker says so in the first person or gives a verdict.
        is_question: Whether the sentence asks, so that its answer counts.
        is_attributed: Whether it reports what others say.
        is_mentioned: Whether it mentions a side, whatever it says about it.
    """

    side: int | None
    why: str = ""
    is_own: bool = False
    is_question: bool = False
    is_attributed: bool = False
    is_mentioned: bool = False


def stated(text: str, sides: tuple[Side, Side], order: int) -> Stated:
    """What one sentence, in its normal form, says about the sides."""
    if (whole := _governed(text, sides, order)).side is not None or whole.is_question:
        return whole
    if (aside := _ASIDE.match(text)) is not None:
        said = _governed(text[aside.end() :], sides, order, needs_verdict=True)
        if said.side is not None:
            return said
    for before, joint, rest in _splits(text):
        said = _governed(rest, sides, order)
        if said.side is None or said.is_question:
            continue
        first = _governed(before, sides, order)
        conceding = _CONCEDING.match(before) is not None or concedes(before)
        if first.side is not None and not conceding and (first.side != said.side):
            return Stated(None, "both sides are restated", is_mentioned=True)
        if first.side is not None and said.is_own:
            return said
        explicit = said.is_own or bool(re.match(r"(?:in my|to my|for me|to me|personally)\b", rest))
        if joint in ("but", "yet", "so", "however", "still", "nevertheless", "nonetheless"):
            # In "those who deny that it is so cruel that … are wrong", the "so" is no conjunction.
            is_inside = joint not in _TURNS and not _is_calm(before) and _SPEAKER.match(rest) is None
            if is_inside and not conceding:
                continue
            if explicit or conceding or first.is_attributed:
                return said
        elif conceding or (
            explicit
            and len(words(before)) <= 8
            and _UNSURE.search(before) is None
            and _is_calm(before)
            and not mentions([before], sides)
        ):
            return said
    if whole.why == "" or (not whole.is_mentioned and whole.why == _UNKNOWN):
        mentioned = len((sides[0].own | sides[1].own) & set(content(text))) > 1
        return replace(whole, why=_UNKNOWN if mentioned else bare(text), is_mentioned=whole.is_mentioned)
    return whole


def _is_calm(text: str) -> bool:
    return not any(root in TURNING_STEMS for root in content(text))


def bare(text: str) -> str:
    """Why a sentence that mentions no side is unclassified."""
    if words(text) in (["yes"], ["no"]):
        return "a bare yes or no does not say to which side"
    return "no side is restated"


def _splits(text: str) -> Iterator[tuple[str, str, str]]:
    """The ways to split a sentence into what it concedes and what it says: before, conjunction, after."""
    for match in _SPLIT.finditer(text):
        yield text[: match.start()], (match[1] or ""), text[match.end() :]


def _governed(text: str, sides: tuple[Side, Side], order: int, *, needs_verdict: bool = False) -> Stated:
    """What a sentence of frames, a restated side and a verdict says; unclassified unless each of these is known."""
    place, sign, frames = 0, 1, list[Frame]()
    is_question = text.rstrip("\"') ").endswith("?")
    while len(frames) <= MAX_FRAMES:
        frame = frame_at(text, place)
        is_no = frame is not None and frame.is_no and text[place : frame.end].strip() != "no"
        named = None if is_no else named_by_order(text[place:])
        restated = None if is_no else restated_at(text[place:], sides)
        if named is not None:
            side = named.shown if order == 0 else 1 - named.shown
            end = place + named.end
            again = restated_at(text[end:].lstrip(" :,-\"'"), sides)
            if again is not None and again.side is not None:  # "the second one: …"
                if again.side != side or again.is_negated:
                    return Stated(None, "what is named and what is restated differ", is_mentioned=True)
                end = len(text) - len(text[end:].lstrip(" :,-\"'")) + again.end
            return _judged(side, sign, text[end:], frames, sides, is_question=is_question, needs_verdict=needs_verdict)
        if restated is not None:
            mine = restated.side
            if mine is None:
                return Stated(None, restated.why, is_mentioned=True)
            sign = -sign if restated.is_negated else sign
            tail = text[place + restated.end :]
            said = _judged(
                mine,
                sign,
                tail,
                frames,
                sides,
                is_question=is_question,
                needs_verdict=needs_verdict,
                is_negated=restated.is_negated,
            )
            if said.side not in (None, mine) and restated.share < MIN_OWN:
                return Stated(None, "a side is rejected in part", is_mentioned=True)
            return said
        if is_question and (asked := asks(text, place)) is not None:
            place = asked
            continue
        if frame is None or frame.end <= place:
            return Stated(None, _UNKNOWN)
        frames.append(frame)
        place, sign = frame.end, sign * frame.sign
    return Stated(None, _UNKNOWN)


def _judged(
    side: int,
    sign: int,
    tail: str,
    frames: Sequence[Frame],
    sides: tuple[Side, Side],
    *,
    is_question: bool,
    needs_verdict: bool,
    is_negated: bool = False,
) -> Stated:
    """What frames, a side and the rest of the sentence amount to."""
    is_attributed = any(frame.is_attributed for frame in frames)
    if is_question:
        if re.fullmatch(r"[\s\"')?]*", tail) is None or sign <= 0 or any(frame.is_attributed for frame in frames):
            return Stated(None, "a side is asked about", is_question=True, is_mentioned=True)
        return Stated(side, is_question=True, is_mentioned=True)
    verdict = verdict_after(tail)
    if verdict is None and _COMPARED.match(tail) is not None:
        after = set(content(tail))
        verdict = 1 if after & sides[1 - side].own and not after & sides[side].own and _is_calm(tail) else None
    if verdict is None:
        return Stated(None, _TAIL, is_mentioned=True)
    has_verdict = _is_verdict(tail)
    if is_attributed and has_verdict:
        sign = 1  # it is the speaker who says so
        is_attributed = False
    if is_attributed:
        return Stated(side, "a side is said to be held by others", is_attributed=True, is_mentioned=True)
    sign *= verdict
    is_own = any(frame.is_own for frame in frames) or has_verdict or is_negated
    if not sign:
        return Stated(None, "it is not said how far the side holds", is_mentioned=True)
    if (any(frame.is_pending for frame in frames) or needs_verdict) and not has_verdict:
        return Stated(None, "a side is mentioned, and nothing said of it", is_mentioned=True)
    after_no = next((frames[n + 1 :] for n in reversed(range(len(frames))) if frames[n].is_no), frames)
    if after_no is not frames and not has_verdict and not is_negated and not any(frame.is_own for frame in after_no):
        return Stated(None, "a no before a side may mean either", is_mentioned=True)
    return Stated(side if sign > 0 else 1 - side, is_own=is_own)


def _is_verdict(tail: str) -> bool:
    """Whether the rest of a sentence calls a side right or wrong, and is not just "in my view"."""
    return (
        verdict_after(f"{tail} ") is not None
        and re.match(
            (
                r"[\s\"')\].,;:!-]*(?:(?:too|also|as well|in (?:my|our)|to my|to me|for me|because|since|so that"
                r"|in order|as |if you ask|i (?:would )?(?:think|believe|feel|say|suppose))\b.*)?$"
            ),
            tail,
        )
        is None
    )


def mentions(texts: Sequence[str], sides: tuple[Side, Side]) -> bool:
    """Whether some sentences contain a word that only one of the sides has."""
    return bool((sides[0].own | sides[1].own) & set(content(" ".join(texts))))
