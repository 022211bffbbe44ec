"""Differences between two packs, and what they mean for comparability and for the version."""

from dataclasses import dataclass
from typing import Literal

from driftwatch.topics.topic import Item, Topic, TopicPack

Bump = Literal["none", "patch", "minor", "major"]
_ORDER: tuple[Bump, ...] = ("none", "patch", "minor", "major")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: "removed", "added" or "changed".
        what: "pack", "topic" or "item".
        id: Topic or item id; for the pack itself, the name of the field.
        bump: The part of the second pack's version that has to be raised for it; see docs/topic-packs.md.
        detail: The difference in words, to show to people.
    """

    kind: Literal["removed", "added", "changed"]
    what: Literal["pack", "topic", "item"]
    id: str
    bump: Bump
    detail: str


@dataclass(frozen=True, slots=True)
class PackDiff:
    """All differences between two packs.

    Attributes:
        comparable: Whether both ask the same, so that measurements with one can be compared with those of the other.
        num_shared: Number of items that both ask in the same words, under the same poles.
    """

    changes: tuple[Change, ...]
    comparable: bool
    num_shared: int

    @property
    def bump(self) -> Bump:
        """The part of the version that has to be raised: the highest that any of the changes asks for."""
        return max((change.bump for change in self.changes), key=_ORDER.index, default="none")


def diff(before: TopicPack, after: TopicPack) -> PackDiff:
    """The differences of the second pack from the first, with topics and items in the order of the packs."""
    changes = [
        Change("changed", "pack", name, "patch", f"{getattr(before, name)} → {getattr(after, name)}")
        for name in ("licence", "source")
        if getattr(before, name) != getattr(after, name)
    ]
    if before.language != after.language:
        detail = f"{before.language} → {after.language}"
        changes.append(Change("changed", "pack", "language", "major", detail))
    old, new = {topic.id: topic for topic in before}, {topic.id: topic for topic in after}
    changes += [Change("removed", "topic", t.id, "major", _size(t)) for t in before if t.id not in new]
    changes += [Change("added", "topic", t.id, "minor", _size(t)) for t in after if t.id not in old]
    num_shared = 0
    for topic_id in old.keys() & new.keys():
        num_shared += _num_shared(old[topic_id], new[topic_id])
    for topic in before:
        if topic.id in new:
            changes += _topic_changes(topic, new[topic.id])
    if not changes and before.digest != after.digest:
        changes.append(Change("changed", "pack", "order", "minor", "the same items in another order"))
    return PackDiff(tuple(changes), before.digest == after.digest, num_shared)


def _topic_changes(before: Topic, after: Topic) -> list[Change]:
    changes = []
    if before.title != after.title:
        changes.append(Change("changed", "topic", before.id, "patch", f"title: {before.title} → {after.title}"))
    if before.poles != after.poles:
        detail = f"poles: {' – '.join(before.poles)} → {' – '.join(after.poles)}"
        changes.append(Change("changed", "topic", before.id, "major", detail))
    if before.control != after.control:
        changes.append(Change("changed", "topic", before.id, "major", f"control: {before.control} → {after.control}"))
    old, new = {item.id: item for item in before.items}, {item.id: item for item in after.items}
    changes += [Change("removed", "item", i.id, "major", _text(i)) for i in before.items if i.id not in new]
    changes += [Change("added", "item", i.id, "minor", _text(i)) for i in after.items if i.id not in old]
    for item_id, item in old.items():
        if item_id in new and new[item_id] != item:
            changes.append(Change("changed", "item", item_id, "major", f"{_text(item)} → {_text(new[item_id])}"))
    return changes


def _num_shared(before: Topic, after: Topic) -> int:
    return len(set(before.items) & set(after.items)) if before.poles == after.poles else 0


def _size(topic: Topic) -> str:
    return f"{len(topic.items)} items"


def _text(item: Item) -> str:
    parts = [" | ".join(item.sides)] if item.sides else []
    return " / ".join([*parts, *([item.question] if item.question else [])])
