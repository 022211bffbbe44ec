"""Words of a side: what it is about, and which words the other side lacks."""

from collections.abc import Iterable

from driftwatch.english import FUNCTION_WORDS, root
from driftwatch.english import any_words as words


def content_words(text: str) -> set[str]:
    """The words that carry meaning, by their roots, so that "tax" and "taxes" count as one.

    >>> sorted(content_words("The taxes should not be raised."))
    ['rais', 'tax']
    """
    return {root(word) for word in words(text) if word not in FUNCTION_WORDS}


def own_words(sides: tuple[str, str]) -> tuple[set[str], set[str]]:
    """For each side, the content words that the other side lacks."""
    first, second = content_words(sides[0]), content_words(sides[1])
    return first - second, second - first


def skeleton(text: str) -> tuple[str, ...]:
    """The grammar of a sentence: its function words in order, with one star for each run of content words.

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
