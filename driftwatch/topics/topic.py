"""TopicPack, Topic, Item: the questions that a model is asked."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a topic: a pair of opposed claims, an open question, or both.

    Attributes:
        id: Identifier, unique in the pack.
        sides: Two opposed claims, of which `sides[0]` favours `topic.poles[0]`; `None` where the item can only be asked
            as an open question.
        question: The open question that a person would ask; `None` where the item can only be asked with its sides.
    """

    id: str
    sides: tuple[str, str] | None
    question: str | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """An axis between two named poles, and its items.

    Attributes:
        id: Identifier, unique in the pack; it is a metric label, so it is short and stable.
        title: Title to show to people.
        poles: Names of the two ends, for example ("more open", "more restrictive").
        control: Whether the topic has no moral content, and so tells a change of style from a change of values.
        items: The topic's items, at least one.
    """

    id: str
    title: str
    poles: tuple[str, str]
    control: bool
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class TopicPack:
    """A set of topics with version, licence and source.

    Attributes:
        version: Semantic version; see docs/topic-packs.md for what breaks comparability.
        language: BCP 47 tag, for example "en".
        licence: SPDX identifier, or a sentence.
        source: Who wrote the items, or where they come from.
    """

    id: str
    version: str
    language: str
    licence: str
    source: str
    topics: tuple[Topic, ...]

    @property
    def digest(self) -> str:
        """Hash of everything that is asked, whatever the format of the file."""
        asked = [
            [topic.id, list(topic.poles), topic.control, [[i.id, i.sides, i.question] for i in topic.items]]
            for topic in self.topics
        ]
        return "sha256:" + hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()[:32]

    def __iter__(self) -> Iterator[Topic]:
        return iter(self.topics)

    def topic(self, topic_id: str) -> Topic:
        """The topic with this id; `KeyError` if there is none."""
        for topic in self.topics:
            if topic.id == topic_id:
                return topic
        raise KeyError(topic_id)

    @property
    def num_items(self) -> int:
        """Number of items over all topics."""
        return sum(len(topic.items) for topic in self.topics)
