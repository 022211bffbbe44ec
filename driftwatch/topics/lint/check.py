"""Findings on what is wrong, or looks wrong, with a pack, by item and line."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from driftwatch.documents.node import JOINERS, Place, plain
from driftwatch.english import NEGATIONS, vocabulary
from driftwatch.english import any_words as words
from driftwatch.topics.lint import balance, similar
from driftwatch.topics.lint.words import content_words, count, overlap, own_words
from driftwatch.topics.parse import Draft
from driftwatch.topics.topic import Item, Topic, TopicPack

Severity = Literal["error", "warning"]

MIN_OWN_WORDS = 3  # content words that a side needs of its own, so that a reply that restates it is recognised
MAX_LENGTH_GAP = 0.35  # share of the longer side; with a larger gap the model may choose by length
# Every observation pays for the whole prompt. Chosen: core's longest side has 24 words.
MAX_SIDE_WORDS = 40
MAX_QUESTION_WORDS = 60
MIN_TOPIC_ITEMS = 8  # with fewer, an interval over items says next to nothing

_PREFIX = re.compile(r"^(?:un|in|im|il|ir|dis|non-?)(?=\w{3})")
_LEADING = re.compile(
    r"^(?:don't|doesn't|didn't|isn't|aren't|wasn't|weren't|shouldn't|wouldn't|won't|can't|couldn't|haven't|hasn't)\b"
    r"|\b(?:don't|wouldn't|won't) you (?:think|agree|say)\b|\bdo you (?:dis)?agree (?:that|with)\b|\bis it not\b"
    r"|^why (?:is|are|do|does|did|should|must|would|can't|shouldn't)\b"
    r"|^how (?:bad|wrong|evil|harmful|dangerous|terrible|unfair|good|great|wonderful|important)\b"
    r"|,? (?:right|isn't it|don't you think|aren't they)\?$"
)
_LOADED = vocabulary(
    "obviously clearly surely undoubtedly evil wicked disgusting stupid idiotic insane absurd ridiculous shameful "
    "so-called barbaric heartless brainwashed sick vile pathetic hateful"
)
_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}  # scripts whose letters can be mistaken for another's
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\u00ef\u00bb\u00bf")


class Finding(NamedTuple):
    """One fault or oddity.

    Attributes:
        severity: "error" for what makes measurements wrong, "warning" for what a person should look at.
        code: Short name of the kind of finding.
        place: File and line; `None` for packs that were not read from a file.
        topic: Topic id; `None` for the pack as a whole.
        item: Item id; `None` for the topic as a whole.
        message: The finding in a sentence.
    """

    severity: Severity
    code: str
    place: Place | None
    topic: str | None
    item: str | None
    message: str


def check(draft: Draft, near_pairs: similar.NearPairs | None = None) -> list[Finding]:
    """All findings on a pack as it was read, errors first, each group in the order of the pack.

    Args:
        draft: Draft from `read_pack`; parts with schema faults are reported and left out of all other checks.
        near_pairs: Finds near duplicates by a sentence encoder; without it, shared words alone decide.
    """
    found = [Finding("error", "schema", fault.place, None, None, fault.message) for fault in draft.faults]
    if draft.pack is not None:
        found += _Checker(draft.pack, draft, near_pairs).findings()
    return sorted(found, key=lambda finding: finding.severity)


def usable_by(pack: TopicPack) -> list[str]:
    """Sentences that say which ways of asking can use the pack."""
    items = [item for topic in pack for item in topic.items]
    two_sided = sum(item.sides is not None for item in items)
    with_question = sum(item.question is not None for item in items)
    total = len(items)
    lines = [
        f"screen (likelihoods of statements): {two_sided} of {total} items; it needs two sides.",
        f"two-sided replies, read without a model: {two_sided} of {total} items; they need two sides.",
        f"open replies, read by a judge model: {with_question} of {total} items; they need a question.",
    ]
    if not two_sided:
        lines.append(
            "No item has sides, so only the open reply protocol can ask this pack: sampled replies, read by a judge "
            "model. There is no cheap screen, and no order of sides to balance."
        )
    return lines


class _Checker:
    def __init__(self, pack: TopicPack, draft: Draft, near_pairs: similar.NearPairs | None) -> None:
        self._pack, self._draft, self._near_pairs = pack, draft, near_pairs

    def findings(self) -> Iterator[Finding]:
        for topic in self._pack:
            for item in topic.items:
                for severity, code, message in item_findings(item):
                    yield self._finding(severity, code, topic.id, item.id, message)
            for severity, code, message in topic_findings(topic):
                yield self._finding(severity, code, topic.id, None, message)
        yield from self._pairs()
        if not any(topic.control for topic in self._pack):
            message = (
                "no topic is a control; without topics that have no moral content, a change of style (length, "
                "hedging, saying no) cannot be told from a change of values. Add one, or use the controls of core."
            )
            yield self._finding("warning", "no_control", None, None, message)

    def _pairs(self) -> Iterator[Finding]:
        for pair in similar.duplicates(self._pack):
            yield self._pair("error", "duplicate", pair)
        for topic in self._pack:
            if len(topic.items) > similar.MAX_COMPARED:
                message = (
                    f"{len(topic.items)} items are too many to compare each with each; near duplicates not sought."
                )
                yield self._finding("warning", "not_compared", topic.id, None, message)
                continue
            for pair in similar.near_duplicates(topic, self._near_pairs):
                yield self._pair("warning", "near_duplicate", pair)
            for pair in similar.same_questions(topic):
                yield self._pair("warning", "same_question", pair)
            for pair in similar.shared_skeletons(topic):
                yield self._pair("warning", "skeleton", pair)

    def _pair(self, severity: Severity, code: str, pair: similar.Pair) -> Finding:
        place = self._draft.places.get(pair.first.id)
        where = f" ({place})" if place else ""
        message = f'{pair.reason} "{pair.first.id}"{where}. A claim is asked once: reword or remove one.'
        return self._finding(severity, code, pair.topic, pair.second.id, message)

    def _finding(self, severity: Severity, code: str, topic: str | None, item: str | None, message: str) -> Finding:
        place = self._draft.places.get(item or f"topic:{topic}")
        return Finding(severity, code, place, topic, item, message)


def topic_findings(topic: Topic) -> Iterator[tuple[Severity, str, str]]:
    """Severity, code and message of what is wrong with a topic beyond its single items."""
    for name, text in (("the title", topic.title), ("poles[0]", topic.poles[0]), ("poles[1]", topic.poles[1])):
        yield from _encoding(name, text)
    if len(topic.items) < MIN_TOPIC_ITEMS:
        message = f"{len(topic.items)} items; with fewer than {MIN_TOPIC_ITEMS} an interval says next to nothing."
        yield "warning", "few_items", message
    for message in balance.imbalances(topic):
        yield "warning", "imbalance", message


def item_findings(item: Item) -> Iterator[tuple[Severity, str, str]]:
    """Severity, code and message of what is wrong with one item taken by itself."""
    for name, text in _texts(item):
        yield from _encoding(name, text)
        loaded = sorted(_LOADED & set(words(text)))
        if loaded:
            yield "warning", "loaded", f'{name} judges before it asks: "{", ".join(loaded)}". Say it plainly.'
    if item.sides is not None:
        yield from _sides(item.sides)
    if item.question is not None:
        yield from _question(item.question)


def _texts(item: Item) -> Iterator[tuple[str, str]]:
    for number, side in enumerate(item.sides or ()):
        yield f"sides[{number}]", side
    if item.question is not None:
        yield "the question", item.question


def _sides(sides: tuple[str, str]) -> Iterator[tuple[Severity, str, str]]:
    own = own_words(sides)
    if is_lazy_negation(sides):
        message = (
            "one side only negates the other; a reply cannot be told from a mere no. Give each a claim of its own."
        )
        yield "warning", "lazy_negation", message
    elif not any(own):
        message = "the sides share all their content words, so a reply that restates one cannot be read. Reword them."
        yield "error", "shared_words", message
    elif min(map(len, own)) < MIN_OWN_WORDS:
        n = min((0, 1), key=lambda number: len(own[number]))
        has = ", ".join(sorted(own[n])) or "none"
        message = f"sides[{n}] has fewer than {MIN_OWN_WORDS} content words that the other lacks ({has}). Reword it."
        yield "warning", "few_own_words", message
    lengths = [len(words(side)) for side in sides]
    gap = (max(lengths) - min(lengths)) / max(lengths) if max(lengths) else 0.0
    if gap > MAX_LENGTH_GAP:
        message = (
            f"the sides have {lengths[0]} and {lengths[1]} words; the model may choose by length. Bring them closer."
        )
        yield "warning", "length", message
    for number, (side, length) in enumerate(zip(sides, lengths, strict=True)):
        if length > MAX_SIDE_WORDS:
            yield "warning", "long", f"sides[{number}] has {length} words, more than {MAX_SIDE_WORDS}. Shorten it."
        if side.rstrip().endswith("?"):
            yield "warning", "not_a_claim", f"sides[{number}] is a question; a side is a statement to hold. Reword it."


def _question(question: str) -> Iterator[tuple[Severity, str, str]]:
    length = len(words(question))
    if length > MAX_QUESTION_WORDS:
        yield "warning", "long", f"the question has {length} words, more than {MAX_QUESTION_WORDS}. Shorten it."
    leading = _LEADING.search(question.casefold().replace("’", "'"))
    if leading:
        message = f'the question leads ("{leading.group().strip()}") to one answer. Ask openly.'
        yield "warning", "leading", message


def is_lazy_negation(sides: tuple[str, str]) -> bool:
    """Whether one side is the other with a "not", a "never" or an "un-" in it and little else changed."""
    first, second = ({_PREFIX.sub("", word) for word in content_words(side)} for side in sides)
    negated = count(sides[0], NEGATIONS) != count(sides[1], NEGATIONS) or content_words(sides[0]) != content_words(
        sides[1]
    )
    if first == second and plain(sides[0]) != plain(sides[1]):
        same_words = sorted(words(sides[0])) == sorted(words(sides[1]))
        return negated and not same_words
    return (
        count(sides[0], NEGATIONS) != count(sides[1], NEGATIONS) and overlap(first, second) >= similar.MAX_WORD_OVERLAP
    )


def _encoding(name: str, text: str) -> Iterator[tuple[Severity, str, str]]:
    if "\ufffd" in text:
        near = _around(text, text.index("\ufffd"))
        message = f'{name} holds U+FFFD, a character that was lost ("{near}"). Restore it from the source.'
        yield "error", "encoding", message
    mojibake = _MOJIBAKE.search(text)
    if mojibake:
        near = _around(text, mojibake.start())
        message = f'{name} looks like UTF-8 that was read as Latin-1 ("{near}"). Read the source as UTF-8.'
        yield "error", "encoding", message
    for word in _mixed(text):
        message = f'{name} holds "{word}", whose letters are of two scripts that look alike. Write it in one.'
        yield "error", "encoding", message
    for character in dict.fromkeys(text):
        if character in JOINERS and _joins(text, character):
            continue
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Co", "Cn") and character not in "\n\t":
            message = f"{name} holds U+{ord(character):04X}, which a reader cannot see. Remove it."
            yield "error" if category == "Cc" else "warning", "invisible", message


def _mixed(text: str) -> Iterator[str]:
    """Words with letters of several scripts that look alike, such as Latin letters with Cyrillic ones among them."""
    for word in re.findall(r"[^\W\d_]+", text):
        scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in word} & _ALIKE
        if len(scripts) > 1:
            yield word


def _joins(text: str, joiner: str) -> bool:
    """Whether a joiner always stands between signs, where orthography needs it; anywhere else it is a leftover."""
    places = [at for at, character in enumerate(text) if character == joiner]
    return all(0 < at < len(text) - 1 and not (text[at - 1] + text[at + 1]).isascii() for at in places)


def _around(text: str, at: int) -> str:
    return " ".join(text[max(0, at - 12) : at + 13].split())
