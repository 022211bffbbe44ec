"""Reads UTF-8 files of YAML and JSON as nodes: values that know their line."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from driftwatch.documents.node import Node, Place, Unreadable, Value

# A pack is read by people, item by item; core has about 250 kB. A larger file is something else, or an attack.
MAX_BYTES = 16 * 1024 * 1024
# Reads core in 0.03 s; without libyaml PyYAML has only its parser in Python, which takes 0.24 s.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.SafeLoader("")  # tells what a bare scalar is: text, number, true or false, nothing
MAX_DEPTH = 16  # a pack has eight levels


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """A UTF-8 file as text, its size checked before it is read."""
    place = Place(shown(path))
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise Unreadable(place, f"expected at most {max_bytes} bytes, found {size}. Split the pack.")
        data = path.read_bytes()
    except OSError as err:
        raise Unreadable(place, f"expected a readable file, found: {err.strerror}. Check it.") from err
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        message = f"expected UTF-8, found byte 0x{data[err.start]:02x}. Save the file as UTF-8."
        raise Unreadable(Place(place.file, line), message) from err


def read_yaml(text: str, file: str, *, loader: Any = LOADER) -> Node:
    """A YAML document as nodes; only plain data, without aliases, and each key once.

    Args:
        text: The document.
        file: Its name in errors.
        loader: The one of PyYAML's safe loaders whose parser reads the text.

    Raises:
        Unreadable: The text is anything else.
    """
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd is not None:
        line = text.count("\n", 0, odd.start()) + 1
        raise Unreadable(Place(file, line), f"expected printable text, found U+{ord(odd.group()):04X}. Remove it.")
    try:
        return _YamlLines(file, yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise Unreadable(Place(file, line), f"expected YAML, found: {err.problem or err.context}. Correct it.") from err


class _YamlLines:
    """Turns PyYAML's events into nodes.

    PyYAML's own composer would lose the lines of keys, follow aliases, and, with libyaml, overflow the stack of the
    process on some ten thousand brackets.
    """

    def __init__(self, file: str, events: Iterator[yaml.Event]) -> None:
        self._file, self._events = file, events

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            if not isinstance(event, yaml.DocumentStartEvent):
                root = self._node(event, 0)
            elif root is not None:
                raise Unreadable(self._place(event), "expected one document, found another one. Remove it.")
        if root is None:
            raise Unreadable(Place(self._file), "expected a pack, found an empty file. Write it.")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            # A few nested aliases can stand for billions of entries; packs have no use for them.
            raise Unreadable(place, f'expected no aliases, found "*{event.anchor}". Write its value out.')
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
            return Node(value, place, is_blank=value is None and not event.value)
        if isinstance(event, yaml.CollectionStartEvent) and event.tag is not None:
            raise Unreadable(place, f'expected plain data, found the tag "{event.tag}". Remove it.')
        if depth == MAX_DEPTH:
            raise Unreadable(place, f"expected at most {MAX_DEPTH} levels of nesting, found more. Flatten it.")
        if isinstance(event, yaml.MappingStartEvent):
            return Node(self._mapping(depth + 1), place)
        return Node(self._sequence(depth + 1), place)

    def _sequence(self, depth: int) -> list[Node]:
        entries = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._node(event, depth))
        return entries

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise Unreadable(place, "expected a name as key, found a list, mapping or alias. Correct it.")
            key = event.value
            if key in entries:
                raise Unreadable(place, f'expected each key once, found "{key}" again. Remove one.')
            entries[key] = self._node(next(self._events), depth)._replace(place=place)
        return entries

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        tag = event.tag or _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind, text = tag.removeprefix("tag:yaml.org,2002:"), str(event.value)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("yes", "true", "on")
        if kind in ("int", "float"):
            return _number(text)
        if kind in ("str", "timestamp", "merge", "value"):
            return _sound(text, self._place(event))
        raise Unreadable(self._place(event), f'expected plain data, found the tag "{tag}". Remove it.')

    def _place(self, event: yaml.Event) -> Place:
        return Place(self._file, event.start_mark.line + 1 if event.start_mark else None)


def _number(text: str) -> int | float | str:
    """The number in a scalar, for a message that quotes it; packs have no numbers. A time like 12:30 stays text."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return text


def read_json(text: str, file: str, first_line: int = 1) -> Node:
    """A JSON document as nodes.

    Raises:
        Unreadable: The text is not JSON, or is nested too deeply.
    """
    try:
        json.loads(text)  # the standard reader checks the grammar; ours only keeps the lines
        return _JsonLines(text, file, first_line).node(0)[0]
    except json.JSONDecodeError as err:
        place = Place(file, first_line + err.lineno - 1)
        raise Unreadable(place, f"expected JSON, found: {err.msg}. Correct it.") from err
    except ValueError as err:  # Python refuses a number with thousands of digits
        raise Unreadable(Place(file), f"expected JSON, found: {err}. Correct it.") from err
    except RecursionError as err:
        raise Unreadable(Place(file), "expected a few levels of nesting, found too many. Flatten it.") from err


class _JsonLines:
    """Walks a document that is known to be valid JSON and counts lines on the way."""

    _space = re.compile(r"[ \t\r\n]*")
    _decoder = json.JSONDecoder()

    def __init__(self, text: str, file: str, first_line: int) -> None:
        self.text, self.file = text, file
        self._line, self._counted = first_line, 0

    def node(self, at: int) -> tuple[Node, int]:
        """The value that begins at or after a position, and the position behind it."""
        at = self._skip(at)
        place = self._place(at)
        if self.text[at] == "{":
            return self._mapping(at, place)
        if self.text[at] == "[":
            return self._list(at, place)
        value, end = self._decoder.raw_decode(self.text, at)
        return Node(_sound(value, place), place), end

    def _mapping(self, at: int, place: Place) -> tuple[Node, int]:
        entries: dict[str, Node] = {}
        at = self._skip(at + 1)
        while self.text[at] != "}":
            key_place = self._place(at)
            key, at = self._decoder.raw_decode(self.text, at)
            if key in entries:
                raise Unreadable(key_place, f'expected each key once, found "{key}" again. Remove one.')
            node, at = self.node(self._skip(at) + 1)
            entries[key] = Node(node.value, key_place)
            at = self._next(at)
        return Node(entries, place), at + 1

    def _list(self, at: int, place: Place) -> tuple[Node, int]:
        entries: list[Node] = []
        at = self._skip(at + 1)
        while self.text[at] != "]":
            node, at = self.node(at)
            entries.append(node)
            at = self._next(at)
        return Node(entries, place), at + 1

    def _next(self, at: int) -> int:
        at = self._skip(at)
        return self._skip(at + 1) if self.text[at] == "," else at

    def _skip(self, at: int) -> int:
        match = self._space.match(self.text, at)
        return match.end() if match else at

    def _place(self, at: int) -> Place:
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        return Place(self.file, self._line)


def _sound(value: Value, place: Place) -> Value:
    """The value, unless it holds half of a surrogate pair, which is no character and could not be written again."""
    odd = re.search("[\ud800-\udfff]", value) if isinstance(value, str) else None
    if odd is not None:
        raise Unreadable(place, f"expected characters, found half of one (U+{ord(odd.group()):04X}). Remove it.")
    return value


def shown(path: Path) -> str:
    """The path as a person in this folder would write it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
