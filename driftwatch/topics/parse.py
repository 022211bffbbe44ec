"""The parser from nodes to a TopicPack, which checks the shape of a pack file entry by entry."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from driftwatch.documents.node import Fault, Node, Place, Reader
from driftwatch.topics.topic import Item, Topic, TopicPack

HEADER_KEYS = ("id", "version", "title", "language", "licence", "source", "description")
PACK_KEYS = (*HEADER_KEYS, "topics", "subset_of", "select")
TOPIC_KEYS = ("id", "title", "poles", "control", "items")
ITEM_KEYS = ("id", "sides", "question")

PACK_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
TOPIC_ID = re.compile(r"[a-z][a-z0-9_]{0,47}")
ITEM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,95}")
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")

PACK_ID_FORM = "a short name of small letters, digits, hyphens and underscores"
TOPIC_ID_FORM = "a short name of small letters, digits and underscores, at most 48"
ITEM_ID_FORM = "a name of letters, digits and any of _ . : - (at most 96)"


@dataclass(frozen=True, slots=True)
class Draft:
    """A pack as it was read: what could be built of it, and everything that is wrong with it.

    Attributes:
        pack: The pack with the topics and items that have no faults; `None` where not even one is left.
        faults: Everything that is wrong with the pack; empty where it can be used.
        places: Where each item is written, by item id, and each topic, by `topic:` and its id.
        notes: What a person should know about how the pack was read, for example columns that were passed over.
        title: Title to show to people; `None` where the pack has none.
        description: What the pack says about itself beyond its header; `None` where it says nothing.
    """

    pack: TopicPack | None
    faults: tuple[Fault, ...]
    places: Mapping[str, Place] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    title: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """How a pack file reaches other files: topic files of its folder, and the pack of which it is a subset.

    Both functions take a name and the place where it is written, and note their own faults.
    """

    topic: Callable[[str, Place], Node | None]
    pack: Callable[[str, Place], Draft]


class PackParser:
    """Reads one pack document; item and topic ids are unique over all its files."""

    def __init__(self, reader: Reader, files: Files) -> None:
        self._reader, self._files = reader, files
        self._places: dict[str, Place] = {}
        self._title: str | None = None
        self._description: str | None = None

    def draft(self, root: Node, fallback_id: str) -> Draft:
        """The draft of a whole pack, or of a topic file on its own, which becomes a pack of one topic."""
        if isinstance(root.value, dict) and "items" in root.value and "topics" not in root.value:
            topic = self.topic(root)
            header = TopicPack(fallback_id, "0.0.0", "und", "not stated", root.place.file, ())
            return self._finish(header, [topic] if topic else [])
        entries = self._reader.mapping(root, "the pack", PACK_KEYS)
        header = self.header(entries, root.place)
        self._title = self._reader.text(entries, "title", "the pack", root.place, needed=False)
        self._description = self._reader.text(entries, "description", "the pack", root.place, needed=False)
        if "subset_of" in entries:
            return self._subset(entries, header)
        if "topics" not in entries:
            if entries:
                self._reader.fault(
                    root.place, 'expected "topics" (or "subset_of") in the pack, found none. Add topics.'
                )
            return self._finish(header, [])
        topics = [self._inline_or_file(node) for node in self._reader.sequence(entries["topics"], '"topics"')]
        if "select" in entries:
            self._reader.fault(entries["select"].place, 'expected "subset_of" beside "select", found none. Add it.')
        return self._finish(header, [topic for topic in topics if topic])

    def header(self, entries: Mapping[str, Node], place: Place) -> TopicPack:
        """The id, version, language, licence and source, as a pack without topics."""

        def text(key: str, form: str, pattern: re.Pattern[str] | None = None) -> str:
            if not entries:
                return ""
            return self._reader.text(entries, key, "the pack", place, pattern=pattern, form=form) or ""

        return TopicPack(
            id=text("id", PACK_ID_FORM, PACK_ID),
            version=text("version", "a semantic version such as 1.0.0", VERSION),
            language=text("language", "a language tag such as en", LANGUAGE),
            licence=text("licence", "an SPDX identifier such as Apache-2.0"),
            source=text("source", "who wrote the items, or where they come from"),
            topics=(),
        )

    def topic(self, node: Node) -> Topic | None:
        """One topic; `None` where it cannot be used at all."""
        reader = self._reader
        entries = reader.mapping(node, "a topic", TOPIC_KEYS)
        if not entries:
            return None
        topic_id = reader.text(entries, "id", "the topic", node.place, pattern=TOPIC_ID, form=TOPIC_ID_FORM)
        what = f'topic "{topic_id}"'
        title = reader.text(entries, "title", what, node.place, form="a title for people")
        poles = None
        if "poles" in entries:
            poles = reader.pair(entries["poles"], f"the poles of {what}", "pole")
        else:
            reader.fault(node.place, f'expected "poles" in {what}, found none. Name the two ends of its axis.')
        control = reader.flag(entries, "control", what)
        items: list[Item] = []
        if "items" in entries:
            found = (self.item(entry, what) for entry in reader.sequence(entries["items"], f"the items of {what}"))
            items = [item for item in found if item]
        else:
            reader.fault(node.place, f'expected "items" in {what}, found none. Add at least one.')
        if topic_id is None or title is None or poles is None or not items:
            return None
        if not self.is_new(f"topic:{topic_id}", node.place, what):
            return None
        return Topic(topic_id, title, poles, control, tuple(items))

    def item(self, node: Node, topic: str) -> Item | None:
        """One item; `None` where it cannot be used."""
        reader = self._reader
        entries = reader.mapping(node, f"an item of {topic}", ITEM_KEYS)
        if not entries:
            return None
        item_id = reader.text(entries, "id", f"an item of {topic}", node.place, pattern=ITEM_ID, form=ITEM_ID_FORM)
        what = f'item "{item_id}"'
        num_faults = len(reader.faults)
        sides = reader.pair(entries["sides"], f"the sides of {what}", "side") if "sides" in entries else None
        question = reader.text(entries, "question", what, node.place, needed=False)
        if len(reader.faults) > num_faults or item_id is None:
            return None
        if sides is None and question is None:
            reader.fault(
                node.place, f"expected two opposed sides or an open question in {what}, found neither. Add one."
            )
            return None
        return Item(item_id, sides, question) if self.is_new(item_id, node.place, what) else None

    def is_new(self, key: str, place: Place, what: str) -> bool:
        """Whether an id is used for the first time; if it is not, that is noted as a fault."""
        if key in self._places:
            self._reader.fault(
                place, f"expected a new id, found {what} again (first at {self._places[key]}). Rename one."
            )
            return False
        self._places[key] = place
        return True

    def _inline_or_file(self, node: Node) -> Topic | None:
        if isinstance(node.value, str):
            inner = self._files.topic(node.value, node.place)
            return None if inner is None else self.topic(inner)
        return self.topic(node)

    def _subset(self, entries: Mapping[str, Node], header: TopicPack) -> Draft:
        """The named items of another pack, in that pack's order."""
        reader, place = self._reader, entries["subset_of"].place
        parent_name = reader.string(entries["subset_of"], '"subset_of"')
        if "topics" in entries:
            reader.fault(entries["topics"].place, 'expected "select" beside "subset_of", found "topics". Remove one.')
        if "select" not in entries:
            reader.fault(place, 'expected "select" beside "subset_of", found none. Name the items of each topic.')
        if parent_name is None or "select" not in entries:
            return self._finish(header, [])
        parent = self._files.pack(parent_name, place)
        reader.faults.extend(parent.faults)
        if parent.pack is None:
            return self._finish(header, [])
        known = [topic.id for topic in parent.pack]
        select = reader.mapping(entries["select"], f'the selection from "{parent_name}"', known)
        topics = [self._selected(topic, select[topic.id], parent) for topic in parent.pack if topic.id in select]
        return self._finish(header, [topic for topic in topics if topic.items])

    def _selected(self, topic: Topic, node: Node, parent: Draft) -> Topic:
        reader = self._reader
        wanted = {}
        for entry in reader.sequence(node, f'the selection of "{topic.id}"'):
            item_id = reader.string(entry, f'an item id of "{topic.id}"')
            if item_id is not None and item_id in wanted:
                reader.fault(entry.place, f'expected each item once, found "{item_id}" again. Remove one.')
            elif item_id is not None:
                wanted[item_id] = entry.place
        self._places[f"topic:{topic.id}"] = node.place
        items = tuple(item for item in topic.items if item.id in wanted)
        for item in items:
            self._places[item.id] = parent.places[item.id]
            del wanted[item.id]
        for item_id, place in wanted.items():
            reader.fault(place, f'expected items of topic "{topic.id}", found "{item_id}". Correct or remove it.')
        return replace(topic, items=items)

    def _finish(self, header: TopicPack, topics: list[Topic]) -> Draft:
        pack = replace(header, topics=tuple(topics)) if topics else None
        return Draft(pack, tuple(self._reader.faults), self._places, (), self._title, self._description)
