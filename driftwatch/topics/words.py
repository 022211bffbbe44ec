"""English words of a side: what it is about, and which words it has for itself."""

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def vocabulary(text: str) -> frozenset[str]:
    """The words of a list written as one text."""
    return frozenset(text.split())


NEGATORS = vocabulary(
    "no not never none nobody nothing neither nor nowhere without cannot can't don't doesn't didn't isn't aren't "
    "wasn't weren't won't wouldn't shouldn't couldn't mustn't needn't hasn't haven't hadn't ain't"
)
# Words that carry grammar. A reply that restates a side is recognised by its other words.
FUNCTION_WORDS = NEGATORS | vocabulary(
    "a an the this that these those there here it its he him his she her hers they them their theirs we us our ours "
    "you your yours i me my mine myself oneself themselves itself himself herself one ones who whom whose which what "
    "when where why how whether if unless because since as so than then though although while until till before after "
    "and or but yet both either each every any some all most many much few more less least enough other others another "
    "such own same of in on at by for from to into onto with within about against between among over under above below "
    "through during toward towards upon out up down off across along around behind beyond per via is are was were be "
    "been being am do does did done doing have has had having can could may might must shall should will would ought "
    "need let get gets got make makes made also even just only very too quite rather still again ever always often "
    "sometimes once now soon already perhaps however whatever whoever whenever wherever it's that's there's i'm i'd "
    "i've i'll you're they're we're he's she's"
)


def words(text: str) -> list[str]:
    """The words of a text in small letters, typographic apostrophes made plain.

    >>> words("Don’t re-open it!")
    ["don't", 're-open', 'it']
    """
    return _WORD.findall(text.casefold().replace("’", "'"))


def content_words(text: str) -> set[str]:
    """The words that carry meaning, endings of number and tense removed so that "tax" and "taxes" count as one.

    >>> sorted(content_words("The taxes should not be raised."))
    ['rais', 'tax']
    """
    return {_stem(word) for word in words(text) if word not in FUNCTION_WORDS}


def own_words(sides: tuple[str, str]) -> tuple[set[str], set[str]]:
    """For each side, the content words that the other side lacks."""
    first, second = content_words(sides[0]), content_words(sides[1])
    return first - second, second - first


def skeleton(text: str) -> tuple[str, ...]:
    """The grammar of a sentence: its function words in order, each run of content words made one star.

    >>> skeleton("Rich people should pay for schools.")
    ('*', 'should', '*', 'for', '*')
    """
    found: list[str] = []
    for word in words(text):
        mark = word if word in FUNCTION_WORDS else "*"
        if mark != "*" or found[-1:] != ["*"]:
            found.append(mark)
    return tuple(found)


def overlap(first: set[str], second: set[str]) -> float:
    """Jaccard index: shared words over all words of the two, in [0, 1]; 0 for two empty sets."""
    return len(first & second) / len(first | second) if first or second else 0.0


def count(text: str, wanted: Iterable[str]) -> int:
    """How many of the text's words are among the wanted."""
    wanted = frozenset(wanted)
    return sum(word in wanted for word in words(text))


def _stem(word: str) -> str:
    # Only what English inflection adds; a real stemmer would merge words that a reader keeps apart.
    word = word.removesuffix("'s").rstrip("'")
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    for ending in ("ing", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word
