"""Restating: whether a text restates a side, how much of it, and whether with a "not" too many or too few.

A restatement has the side's own words, in their order, and hardly any others: a foreign word may reverse the meaning,
as in "open borders make a country poorer".
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import lru_cache

from driftwatch.english import NEGATIONS, STOPWORDS, content, is_turn, plain, stem, turns, words

MIN_OWN = 0.6  # smallest share of a side's own words in a restatement
MIN_OWN_PURE = 0.4  # the same for a restatement without foreign words, such as one that was cut off
MIN_OWN_NEGATED = 0.75  # the same if a "not" too many or too few makes it the opposite
MIN_OWN_FOREIGN = 0.8  # the same if there is a foreign word
MAX_OTHER = 0.2  # largest share of the other side's own words in a restatement
MAX_FOREIGN = 0.25  # largest share of a restatement's words that its side lacks
MAX_LATE = 3  # most words of a side that a restatement may leave out at its beginning
MIN_ORDERED = 0.7  # smallest share of its words that stand in the side's order


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Small words that a restatement may begin with, although the side lacks them; the next list makes it doubtful.
_ARTICLES = _set("""the a an that these those our my your we""")
_RISKY = _set(
    """if when who whom whose why how what where whether than or was were did had would could might may say some so
    which they he she her his you think believe feel agree opinion views"""
)
_TURNING = _set(
    """wrong false untrue lie lies myth nonsense reject oppose deny doubt dispute refuse dismiss against mistake
    mistaken error fail lack few little less least seldom rare rarely stop prevent avoid forbid only except unless
    unlike opposite contrary instead else hate dislike disagree bad worse poor poorer harm absurd ridiculous silly
    stupid pretend allegedly supposedly claim used once formerly longer far anything difficult hard impossible
    unlikely neglect abandon end abolish undermine weaken destroy ruin hurt waste pointless useless senseless danger
    dangerous critic opponent someone somebody people question debatable would-be so-called half part partly
    sometimes occasionally perhaps maybe probably unfair crazy mad joke laugh laughable dream not-so nor hardly"""
)
TURNING_STEMS = frozenset(stem(word) for word in _TURNING)
_FRAMING = _set("""view views opinion opinions that think believe feel agree say""")
_AUXILIARIES = _set("""do does is are am should can will would must may ought has have need shall could was were be""")
_SUBORDINATE = _set(
    """if because since although though when until unless that which who whom where while as so and but for"""
)
_SIGN = re.compile(r"\W*[^\w\s\"'()\[\]{}.,:;!?>#|/\\-]")
_TOKEN = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Side:
    """One side, as the rules see it.

    Attributes:
        words: All words in order, in the normal form.
        stems: Stems of the words that carry meaning, in order.
        all: The same stems as a set.
        own: The stems that the other side lacks.
        turns: The words "but", "although" and the like in it.
        has_clauses: Whether it has a comma or a subordinate clause, so that a "not" may concern only a part of it.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    all: frozenset[str]
    own: frozenset[str]
    turns: tuple[str, ...]
    has_clauses: bool

    @property
    def negations(self) -> int:
        """Number of negations in the side itself."""
        return sum(word in NEGATIONS for word in self.words)


@dataclass(frozen=True, slots=True)
class Restated:
    """A side, restated from the beginning of a text.

    Attributes:
        side: The side, 0 or 1; `None` if something like a side begins here and its meaning is not clear.
        is_negated: Whether the text says the opposite, by a "not" too many or too few.
        end: Index in the text where the restatement ends.
        share: Share of the side's own words that the restatement has.
        why: Why the meaning is not clear; empty if it is.
    """

    side: int | None
    is_negated: bool = False
    end: int = 0
    share: float = 1.0
    why: str = ""


@lru_cache(4096)
def both_sides(texts: tuple[str, str]) -> tuple[Side, Side]:
    """The two sides of an item, as the rules see them."""
    first, second = (frozenset(content(text)) for text in texts)
    return _side(texts[0], second), _side(texts[1], first)


def _side(text: str, other: frozenset[str]) -> Side:
    found, stems = tuple(words(text)), tuple(content(text))
    inner = plain(text).rstrip(". ")
    has_clauses = "," in inner or ";" in inner or any(word in _SUBORDINATE for word in found[1:])
    return Side(found, stems, frozenset(stems), frozenset(stems) - other, tuple(turns(text)), has_clauses)


def restated_at(text: str, sides: tuple[Side, Side]) -> Restated | None:
    """The side that a normal form restates from its beginning on; `None` if it restates none."""
    if _SIGN.match(text) is not None:
        return None  # a symbol before it, such as a cross or a thumb, may mean anything
    tokens = [(m.group(), m.end()) for m in _TOKEN.finditer(text)]
    found = [(_share(tokens, sides[number], sides[1 - number]), number) for number in (0, 1)]
    (share, number) = max(found, key=lambda one: one[0][0])
    if not share[0] or found[0][0][0] == found[1][0][0]:
        return None
    checked = _checked(tokens[: share[1] + 1], tokens[share[1] + 1 :], number, sides[number])
    return None if checked is None else replace(checked, share=share[0])


def _share(tokens: list[tuple[str, int]], side: Side, other: Side) -> tuple[float, int]:
    """Share of the side's own words in the restatement, 0 if there is none, and the index of its last token."""
    seen: set[str] = set()
    last = -1
    for number, (word, _) in enumerate(tokens):
        if word in STOPWORDS or word in NEGATIONS:
            continue
        root = stem(word)
        if root in side.all and root not in seen:
            seen.add(root)
            last = number
        elif last < 0:
            return 0.0, 0  # a foreign word stands first
    if last < 0 or not side.own:
        return 0.0, 0
    said = [stem(word) for word, _ in tokens[: last + 1] if word not in STOPWORDS and word not in NEGATIONS]
    own = len(seen & side.own) / len(side.own)
    foreign = [root for root in said if root not in side.all]
    others = len(set(said) & other.own) / len(other.own) if other.own else 0.0
    if not foreign:
        enough = own >= MIN_OWN or (own >= MIN_OWN_PURE and len(seen & side.own) > 1)
    else:
        enough = own >= MIN_OWN_FOREIGN and len(foreign) <= MAX_FOREIGN * len(said)
    return (own if enough and others <= MAX_OTHER else 0.0), last


def _checked(span: list[tuple[str, int]], rest: list[tuple[str, int]], number: int, side: Side) -> Restated | None:
    said = [word for word, _ in span]
    roots = [stem(word) for word in said if word not in STOPWORDS and word not in NEGATIONS]
    first = next(n for n, word in enumerate(said) if stem(word) in side.all)
    place = next(n for n, word in enumerate(side.words) if stem(word) == stem(said[first]))
    if side.stems.index(stem(said[first])) > MAX_LATE:
        return None  # a word from the side's end that belongs to something else
    begins = roots.index(side.stems[0]) if side.stems[0] in roots else 0
    if any(root not in side.all for root in roots[:begins]):
        return None  # it begins later
    if roots[0] != side.stems[0] and roots.count(roots[0]) > side.stems.count(roots[0]):
        return None  # in "the idea that however brilliant the idea, …" the first "idea" is not the side's
    if roots.count(roots[0]) > side.stems.count(roots[0]):
        again = max(n for n, word in enumerate(said) if stem(word) == roots[0])
        if set(roots) - side.all or _FRAMING.intersection(said[first:again]):
            return None  # the side may begin later: "people hate that people …", "wrong with the view that wrong …"
    extra = [word for word in said if word in STOPWORDS and word not in side.words]
    if any(word not in side.words[:place] and word not in _ARTICLES and word not in NEGATIONS for word in said[:first]):
        return None
    end = span[-1][1]
    # The end includes the small words that follow in the side, up to where a reply was cut off.
    follows = list(side.words)[next(n for n, word in enumerate(side.words) if stem(word) == stem(said[-1])) + 1 :]
    same = 0
    while same < min(len(follows), len(rest)) and follows[same] == rest[same][0]:
        same += 1
    if same and (same == len(rest) or same == len(follows)):
        end = rest[same - 1][1]
    if any(root not in side.all and root in TURNING_STEMS for root in roots) or any(word in _RISKY for word in extra):
        return Restated(None, end=end, why="a word in the restatement may turn it round")
    if any(is_turn(word) and word not in side.turns for word in said):
        return Restated(None, end=end, why="the statement takes a turn")
    if len(roots) - len(set(roots)) > 1 + len(side.stems) - len(side.all):
        return Restated(None, end=end, why="the statement says the same word again")
    if _ordered(roots, side) < MIN_ORDERED:
        return Restated(None, end=end, why="a side's words stand in another order")
    negated = sum(word in NEGATIONS for word in said) - _negations_within(side, roots)
    if not negated:
        return Restated(number, end=end)
    if not _may_turn(said, roots, side, negated):
        return Restated(None, end=end, why="a side is restated in part, with or without its negation")
    return Restated(number, is_negated=True, end=end)


def _negations_within(side: Side, roots: list[str]) -> int:
    """The side's negations up to where the restatement ends, so that those that were cut off do not count."""
    first = {stem(word): n for n, word in reversed(list(enumerate(side.words))) if word not in STOPWORDS}
    last = max((n for root, n in first.items() if root in roots), default=0)  # a span ends where a word comes first
    return sum(word in NEGATIONS for word in side.words[: last + 1])


def _ordered(roots: list[str], side: Side) -> float:
    places = [side.stems.index(root) for root in dict.fromkeys(roots) if root in side.all]
    ends: list[int] = []
    for place in places:  # longest increasing run, by patience sorting
        at = bisect_left(ends, place)
        ends[at : at + 1] = [place]
    return len(ends) / len(places)


def _may_turn(said: list[str], roots: list[str], side: Side, negated: int) -> bool:
    """Whether one "not" too many or too few makes a restatement the opposite of the whole side."""
    if abs(negated) != 1 or set(roots) - side.all or len(set(roots) & side.own) < MIN_OWN_NEGATED * len(side.own):
        return False
    if side.has_clauses:
        return False
    if negated < 0:
        return side.negations == 1
    places = [n for n, word in enumerate(said) if word in NEGATIONS]
    if side.negations:
        return False
    place = places[0]
    after = said[place + 1] if place + 1 < len(said) else ""
    return (
        place > 0
        and said[place - 1] in _AUXILIARIES
        and after not in ("only", "just", "merely", "simply", "always", "necessarily")
    )
