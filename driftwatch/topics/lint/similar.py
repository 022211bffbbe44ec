"""Items that ask the same thing twice: exactly, by shared words, or by a sentence encoder that is passed in."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

from driftwatch.documents.node import plain
from driftwatch.topics.lint.words import content_words, overlap, skeleton
from driftwatch.topics.topic import Item, Topic, TopicPack

# Pairs (i, j, similarity) with i < j whose similarity reaches a threshold; see driftwatch.topics.lint.embeddings.
NearPairs = Callable[[Sequence[str], float], list[tuple[int, int, float]]]

# Two items of a topic count as near duplicates from this cosine similarity of their MiniLM sentence embeddings on.
# Chosen: the closest pair of different claims in core has 0.76; of eleven paraphrases of a claim, eight had more than
# 0.85 and the others 0.70 to 0.84.
MAX_EMBEDDING_SIMILARITY = 0.85
# The same threshold for shared content words; chosen high enough to leave two claims about one matter alone.
MAX_WORD_OVERLAP = 0.6
MIN_SKELETON_WORDS = 5  # function words that two sentences must share, in order, to count as one template
MIN_CONTAINED_WORDS = 5  # words of a text from which on it counts as a shorter wording of one that contains it
# All pairs are compared, which would take minutes beyond this many items per topic.
MAX_COMPARED = 3000


class Pair(NamedTuple):
    """Two items too close to each other; the first comes earlier in the pack.

    Attributes:
        reason: What the second item does, as a phrase to be followed by the id of the first.
    """

    topic: str
    first: Item
    second: Item
    reason: str


def text_of(item: Item) -> str:
    """What an item asks, as one text: its sides, or its question where it has none."""
    return "\n".join(item.sides) if item.sides else item.question or ""


def duplicates(pack: TopicPack) -> list[Pair]:
    """Items whose sides (in either order) or whose only question say the same as an earlier item of the pack."""
    seen: dict[tuple[str, ...], Item] = {}
    found = []
    for topic in pack:
        for item in topic.items:
            key = tuple(sorted(plain(side) for side in item.sides)) if item.sides else (plain(item.question or ""),)
            if key in seen:
                found.append(Pair(topic.id, seen[key], item, "asks the same as"))
            seen.setdefault(key, item)
    return found


def same_questions(topic: Topic) -> list[Pair]:
    """Items with sides whose open question an earlier item of the topic asks in the same words."""
    seen: dict[str, Item] = {}
    found = []
    for item in topic.items:
        if item.sides is None or item.question is None:
            continue
        first = seen.setdefault(plain(item.question), item)
        if first is not item:
            found.append(Pair(topic.id, first, item, "has the same open question as"))
    return found


def near_duplicates(topic: Topic, near_pairs: NearPairs | None = None) -> list[Pair]:
    """Pairs of different items of a topic that are nearly the same.

    Args:
        topic: Topic of at most `MAX_COMPARED` items.
        near_pairs: Finds similar texts by a sentence encoder; without it, shared words alone decide.
    """
    texts = [text_of(item) for item in topic.items]
    reasons = _by_words(texts)
    if near_pairs is not None:
        for i, j, similarity in near_pairs(texts, MAX_EMBEDDING_SIMILARITY):
            reasons.setdefault((i, j), f"has an embedding similarity of {similarity:.2f} to")
    return [
        Pair(topic.id, topic.items[i], topic.items[j], reason)
        for (i, j), reason in sorted(reasons.items())
        if plain(texts[i]) != plain(texts[j])
    ]


def shared_skeletons(topic: Topic) -> list[Pair]:
    """Pairs of items that fill the same template: a side, or else the question, has the same grammar word for word."""
    seen: dict[tuple[str, ...], Item] = {}
    found = []
    for item in topic.items:
        for text in item.sides or (item.question or "",):
            key = skeleton(text)
            if sum(mark != "*" for mark in key) < MIN_SKELETON_WORDS:
                continue
            first = seen.setdefault(key, item)
            if first is not item and text_of(first) != text_of(item):
                found.append(Pair(topic.id, first, item, f'has the sentence skeleton "{" ".join(key)}" of'))
    return found


def _by_words(texts: Sequence[str]) -> dict[tuple[int, int], str]:
    bags = [content_words(text) for text in texts]
    bare = [plain(text) for text in texts]
    reasons = {}
    for i, j in combinations(range(len(texts)), 2):
        shared = overlap(bags[i], bags[j])
        short, long = sorted((bare[i], bare[j]), key=len)
        if shared >= MAX_WORD_OVERLAP:
            reasons[i, j] = f"shares {shared:.0%} of all content words with"
        elif len(short.split()) >= MIN_CONTAINED_WORDS and f" {short} " in f" {long} ":
            reasons[i, j] = "is a longer or shorter wording of"
    return reasons
