"""Words of a reply, for rules that a person can follow: sentences, stems, repetition."""

import re
from collections import Counter

# Words that say nothing about which side is meant. Negations are not among them: they have a rule of their own.
STOPWORDS = frozenset(
    """a about all also am an and any are as at be been being both by can could do does did for from had has have having
    he her here him his how i if in indeed into is it its itself just may me might more most much my myself of on one or
    our own really she should so some such than that the their them then there these they this those to too us very was
    we were what when where which who whom why will with would you your must ought need needs simply truly quite even
    i'm i'd i've it's that's view views opinion think believe feel agree say""".split()  # noqa: SIM905 - a list of words reads better so
)
NEGATIONS = frozenset("not no never none neither nor nobody nothing cannot without hardly".split())  # noqa: SIM905 - as above

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"')\]])\s+|\n+")
_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-"})


def plain(text: str) -> str:
    """Lower case, straight quotes, one space between words."""
    return " ".join(text.translate(_TYPOGRAPHY).lower().split())


def words(text: str) -> list[str]:
    """The words of a text, lower case, n't written as a word of its own.

    >>> words("I don't like Wind farms.")
    ['i', 'do', 'not', 'like', 'wind', 'farms']
    """
    expanded = plain(text).replace("can't", "can not").replace("won't", "will not").replace("cannot", "can not")
    return _WORD.findall(expanded.replace("n't", " not"))


def stem(word: str) -> str:
    """A word without its commonest endings, so that "farms" meets "farm" and "banning" meets "banned".

    >>> [stem(w) for w in ("farms", "families", "banned", "banning", "taxes", "class")]
    ['farm', 'family', 'ban', 'ban', 'tax', 'class']
    """
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root != word and len(root) >= 3:
            return root[:-1] if root[-1] == root[-2] and root[-1] not in "ls" else root
    return word


def content(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order; negations left out."""
    return [stem(w) for w in words(text) if w not in STOPWORDS and w not in NEGATIONS]


def sentences(text: str) -> list[str]:
    """A reply's sentences and lines, without empty ones."""
    return [part.strip() for part in _SENTENCE_END.split(text.strip()) if part.strip()]


def num_negations(text: str) -> int:
    """How often a text negates."""
    return sum(w in NEGATIONS for w in words(text))


def repeats_itself(text: str) -> bool:
    """Whether a reply goes round in circles, as collapsed models do: three words three times, or few different ones."""
    found = words(text)
    if len(found) < 6:
        return False
    triples = Counter(zip(found, found[1:], found[2:], strict=False))
    return max(triples.values()) >= 3 or len(set(found)) <= 0.4 * len(found)


def is_english(text: str) -> bool:
    """Whether a text of five words or more has the small words that English cannot do without."""
    found = words(text)
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c.isascii() for c in letters) < 0.9 * len(letters):
        return False
    return len(found) < 5 or any(w in STOPWORDS or w in NEGATIONS for w in found)
