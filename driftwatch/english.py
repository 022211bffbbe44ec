"""English, for rules that a person can follow: one normal form, words, negations, stems, sentences, repetition.

Packs and judges share this module, so that the words that a pack's checks call a side's own are the words by which the
judge recognises that side.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache


def vocabulary(text: str) -> frozenset[str]:
    """The words of a list written as one text."""
    return frozenset(text.split())


NEGATIONS = vocabulary("not no never none neither nor nobody nothing nowhere cannot without hardly scarcely barely")
# Words that do not tell which side is meant; negations have a rule of their own.
STOPWORDS = vocabulary(
    "a about all also am an and any are as at be been being both by can could do does did for from had has have "
    "having he her here him his how i if in indeed into is it its itself just may me might more most much my myself "
    "of on one or our own really she should so some such than that the their them then there these they this those to "
    "too us very was we were what when where which who whom why will with would you your must ought need needs simply "
    "truly quite even i'm i'd i've it's that's view views opinion think believe feel agree say"
)
# Words that carry grammar and yet may tell two sides apart, such as "before" and "after", or "more" and "less".
_GRAMMAR = vocabulary(
    "hers theirs ours yours mine oneself themselves himself herself ones whose whether unless because since though "
    "although while until till before after but yet either each every many few less least enough other others another "
    "same onto within against between among over under above below through during toward towards upon out up down off "
    "across along around behind beyond per via done doing shall let get gets got make makes made only rather still "
    "again ever always often sometimes once now soon already perhaps however whatever whoever whenever wherever"
)
# The checks of a pack ignore these words: a side must have other words of its own.
FUNCTION_WORDS = STOPWORDS | NEGATIONS | _GRAMMAR

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_ANY_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"')\]])\s+(?![a-z])|\n+")
_TURN = re.compile(r"\b(?:but|however|although|though|while|whereas|yet|on the other hand|unless|except|if)\b")
# Applied before NFKC, which would turn "´" into a space and a combining accent.
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("’‘‛ʼʻʽˈ′‵´`ʹ＇՚ꞌ", "'"),
        **dict.fromkeys("“”„‟«»″‶＂", '"'),
        **dict.fromkeys("–—―‐‑‒−", "-"),
        **dict.fromkeys(map(chr, (0xAD, 0x34F, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x2060, 0x2065))), None),
        **dict.fromkeys("*_", ""),  # emphasis
    }
)
_NOT = re.compile(
    r"\b(do|does|did|is|are|was|were|would|could|should|must|has|have|had|need|might|ca|wo|sha|ai)"
    r"(?:n ?' ?t|nt|n t| n't)\b"
)
_WHOLE = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
_CONTRACTED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"\bi ?'? ?m\b"), "i am"),
    (re.compile(r"\b(i|we|they|you) ?' ?ve\b|\b(i)ve\b"), r"\1\2 have"),
    (re.compile(r"\b(i|we|they|you|it|he|she|that) ?' ?d\b"), r"\1 would"),
    (re.compile(r"\bid (?=(?:say|argue|rather|not|never|go|pick|choose|reject|agree|disagree|have to)\b)"), "i would "),
    (re.compile(r"\b(i|we|they|you|it|he|she|that|there) ?' ?ll\b"), r"\1 will"),
    (re.compile(r"\b(we|they|you) ?' ?re\b"), r"\1 are"),
    (re.compile(r"\b(it|that|there|here|what|who|he|she) ?' ?s\b|\b(that|there)s\b"), r"\1\2 is"),
    (
        re.compile(
            r"\bits (?=(?:not|never|simply|just|really|wrong|false|untrue|true|nonsense|an?|hard|better|best|clear)\b)"
        ),
        "it is ",
    ),
)


@lru_cache(4096)
def plain(text: str) -> str:
    """The normal form that every rule sees: NFKC, lower case, straight quotes, single spaces, no contractions.

    >>> plain("I don´t think it’s “fair”; I DONT."), plain("I can't, and isn't that won\u00adderful")
    ('i do not think it is "fair"; i do not.', 'i can not, and is not that wonderful')
    """
    found = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHY)).translate(_TYPOGRAPHY).lower()
    found = _NOT.sub(lambda m: f"{_WHOLE.get(m[1], m[1])} not", " ".join(found.split()))
    for pattern, whole in _CONTRACTED:
        found = pattern.sub(whole, found)
    return " ".join(found.split())


def words(text: str) -> list[str]:
    """The words of a text in its normal form, in order.

    >>> words("I don't like Wind farms.")
    ['i', 'do', 'not', 'like', 'wind', 'farms']
    """
    return _WORD.findall(plain(text))


def any_words(text: str) -> list[str]:
    """The words of a text in any alphabet, for packs, which may be in another language.

    >>> any_words("Ein Café, 2½ Äpfel")
    ['ein', 'café', '21', '2', 'äpfel']
    """
    return _ANY_WORD.findall(plain(text))


@lru_cache(65536)
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


def root(word: str) -> str:
    """What all forms of a word share: coarser than its stem, for checks that had better find one match too many.

    >>> {root(w) for w in ("raise", "raises", "raised", "raising")}, root("press") == root("pressure")
    ({'rais'}, False)
    """
    found = stem(word)
    return found.removesuffix("e") if len(found) > 3 else found


def content(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order; negations are left out."""
    return [stem(w) for w in words(text) if w not in STOPWORDS and w not in NEGATIONS]


def sentences(text: str) -> list[str]:
    """A reply's sentences and lines, without empty ones."""
    return [part.strip() for part in _SENTENCE_END.split(text.translate(_TYPOGRAPHY).strip()) if part.strip()]


def turns(text: str) -> list[str]:
    """The words of a text after which the opposite may stand: but, although, unless."""
    return _TURN.findall(plain(text))


def is_turn(word: str) -> bool:
    """Whether a word is one of those that `turns` finds."""
    return _TURN.fullmatch(word) is not None


def repeats_itself(text: str) -> bool:
    """Whether a reply repeats itself, as collapsed models do: a triple of words three times, or few different words."""
    found = words(text)
    if len(found) < 6:
        return False
    triples = Counter(zip(found, found[1:], found[2:], strict=False))
    return max(triples.values()) >= 3 or len(set(found)) <= 0.4 * len(found)


def is_english(text: str) -> bool:
    """Whether a text is in English: mostly ASCII letters and, from five words on, one of the usual small words."""
    found = words(text)
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c.isascii() for c in letters) < 0.9 * len(letters):
        return False
    return len(found) < 5 or any(w in STOPWORDS or w in NEGATIONS for w in found)
