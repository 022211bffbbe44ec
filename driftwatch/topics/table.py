"""Packs from tables: JSON, JSONL, CSV and `datasets`, with one item per row."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from driftwatch.documents.files import read_json
from driftwatch.documents.node import Node, Place, Reader, Unreadable, Value
from driftwatch.topics.names import normal, slugs
from driftwatch.topics.parse import ITEM_ID, ITEM_ID_FORM, TOPIC_ID, Draft
from driftwatch.topics.topic import Item, Topic, TopicPack

# Our fields, and the columns that are taken for them where the caller names none; the first one that exists is taken.
# "input" is the usual name of the question in prompt sets; their "output" is a model's answer and is passed over.
USUAL_COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "item_id"),
    "topic": ("topic", "category"),
    "question": ("question", "input", "prompt"),
    "side_0": ("side_0",),
    "side_1": ("side_1",),
    "pole_0": ("pole_0",),
    "pole_1": ("pole_1",),
    "control": ("control",),
}
# Texts that other programs write into an empty cell; they count as missing in every column.
MISSING = frozenset(
    ("", "nan", "NaN", "NAN", "None", "null", "NULL", "<NA>", "NaT", "inf", "-inf", "Infinity", "-Infinity")
)
# The paper's words, for rows that name no poles.
UNNAMED_POLES = ("support", "oppose")


def jsonl_rows(text: str, file: str) -> Node:
    """The rows of a JSONL text, one JSON object per line; empty lines are passed over."""
    # splitlines would also split at U+2028, which JSON texts may hold and which is no line end here.
    lines = enumerate(text.split("\n"), 1)
    return Node([read_json(line, file, number) for number, line in lines if line.strip()], Place(file))


def csv_rows(text: str, file: str) -> Node:
    """The rows of a CSV text, with commas, a header line and one item per row."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Node] = []
    begin = 1
    try:
        header = next(lines, [])
        begin = lines.line_num + 1
        for cells in lines:
            place = Place(file, begin)
            begin = lines.line_num + 1
            if not any(cells):
                continue
            if len(cells) != len(header):
                message = f"expected {len(header)} cells, found {len(cells)}. Quote the cells that hold commas."
                raise Unreadable(place, message)
            row: dict[str, Node] = {name: Node(cell or None, place) for name, cell in zip(header, cells, strict=True)}
            rows.append(Node(row, place))
    except csv.Error as err:
        raise Unreadable(Place(file, begin), f"expected CSV, found: {err}. Correct it.") from err
    return Node(rows, Place(file))


def data_set_rows(name: str, split: str) -> Node:
    """The rows of a Hugging Face data set: a folder written by `save_to_disk`, or a name on the hub.

    The line of a row is its number, from 1.
    """
    place = Place(name)
    try:
        import datasets
    except ImportError as err:
        raise Unreadable(place, 'expected the package "datasets", found none. Run: pip install datasets') from err
    try:
        found = datasets.load_from_disk(name) if Path(name).is_dir() else datasets.load_dataset(name)
    except (
        Exception
    ) as err:  # hub client, network and file formats have exceptions of their own; all mean the same here
        message = f"expected a data set, found: {type(err).__name__}: {err}. Check name and network."
        raise Unreadable(place, message) from err
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise Unreadable(place, f'expected the split "{split}", found {", ".join(found)}. Pass split=….')
        found = found[split]
    rows: list[Node] = []
    for number, row in enumerate(found, 1):
        place = Place(name, number)
        rows.append(Node({key: Node(_plain(value), place) for key, value in row.items()}, place))
    return Node(rows, Place(name))


def draft(root: Node, reader: Reader, columns: Mapping[str, str] | None, pack_id: str) -> Draft:
    """The draft of a pack from rows: topics in order of first appearance, items in order of the rows."""
    rows = [row for row in reader.sequence(root, "the table") if isinstance(row.value, dict)]
    if rows and len(rows) < len(root.value if isinstance(root.value, list) else []):
        reader.fault(root.place, "expected every row as a mapping of columns, found others among them. Correct it.")
    if not rows:
        if not reader.faults:
            reader.fault(root.place, "expected rows that map columns to values, found none. Correct it.")
        return Draft(None, tuple(reader.faults))
    names = list(dict.fromkeys(name for row in rows for name in _entries(row)))
    taken = _columns(names, columns, reader, root.place)
    if "topic" not in taken or not ({"question", "side_0"} & taken.keys()):
        missing = "topic" if "topic" not in taken else "question"
        reader.fault(
            root.place,
            f'expected a column for "{missing}", found {", ".join(names)}. Pass columns={{"{missing}": "…"}} '
            f"(--column {missing}=… on the command line).",
        )
        return Draft(None, tuple(reader.faults))
    passed_over = [name for name in names if name not in taken.values()]
    notes = [f"columns passed over: {', '.join(passed_over)}"] if passed_over else []
    table = _Table(reader, taken)
    topics = table.topics(rows)
    if "pole_0" not in taken:
        notes.append('no poles are named; the ends of every topic are called "support" and "oppose"')
    header = TopicPack(pack_id, "0.0.0", "und", "not stated", root.place.file, topics)
    return Draft(header if topics else None, tuple(reader.faults), table.places, tuple(notes))


class _Table:
    """Makes items of rows and groups them by topic."""

    def __init__(self, reader: Reader, taken: Mapping[str, str]) -> None:
        self._reader, self._taken = reader, taken
        self.places: dict[str, Place] = {}
        self._names: dict[str, str] = {}  # topic ids by title

    def topics(self, rows: list[Node]) -> tuple[Topic, ...]:
        self._names = slugs([title for row in rows if (title := self._value(row, "topic"))])
        topics: dict[str, Topic] = {}
        items: dict[str, list[Item]] = {}
        for number, row in enumerate(rows):
            topic = self._topic(row)
            if topic is None:
                continue
            if topics.setdefault(topic.id, topic) != topic:
                self._reader.fault(
                    row.place,
                    f'expected title, poles and control of topic "{topic.id}" as in its first row, found others. '
                    "Make them alike.",
                )
                continue
            item = self._item(row, number)
            if item is not None:
                items.setdefault(topic.id, []).append(item)
                self.places.setdefault(f"topic:{topic.id}", row.place)
        return tuple(replace(topics[topic_id], items=tuple(of_topic)) for topic_id, of_topic in items.items())

    def _topic(self, row: Node) -> Topic | None:
        title = self._text(row, "topic", needed=True)
        if title is None:
            return None
        topic_id = title if TOPIC_ID.fullmatch(title) else self._names[title]
        if not TOPIC_ID.fullmatch(topic_id):
            topic_id = f"topic_{topic_id}"[:48].strip("_")
        first, second = self._text(row, "pole_0"), self._text(row, "pole_1")
        cells = [Node(first or UNNAMED_POLES[0], row.place), Node(second or UNNAMED_POLES[1], row.place)]
        poles = self._reader.pair(Node(cells, row.place), f'the poles of topic "{topic_id}"', "pole")
        return None if poles is None else Topic(topic_id, title, poles, self._is_control(row), ())

    def _item(self, row: Node, number: int) -> Item | None:
        reader = self._reader
        num_faults = len(reader.faults)
        item_id = self._text(row, "id") or f"row_{number}"
        if not ITEM_ID.fullmatch(item_id):
            reader.fault(row.place, f'expected {ITEM_ID_FORM} as id, found "{item_id}". Rename it.')
        what = f'item "{item_id}"'
        question = self._text(row, "question")
        written = [side for side in (self._text(row, "side_0"), self._text(row, "side_1")) if side]
        sides = None
        if written:
            cells = [Node(side, row.place) for side in written]
            sides = reader.pair(Node(cells, row.place), f"the sides of {what}", "side")
        elif question is None:
            reader.fault(row.place, f"expected an open question or two sides in {what}, found neither. Add one.")
        if item_id in self.places:
            reader.fault(
                row.place, f"expected a new id, found {what} again (first at {self.places[item_id]}). Rename one."
            )
        if len(reader.faults) > num_faults:
            return None
        self.places[item_id] = row.place
        return Item(item_id, sides, question)

    def _text(self, row: Node, field: str, *, needed: bool = False) -> str | None:
        """A cell as text; numbers are taken as they are written, since ids in tables often are numbers."""
        cell = _entries(row).get(self._taken.get(field, ""))
        value = self._value(row, field)
        if value is None and cell is not None and not isinstance(cell.value, (str, int, float, type(None))):
            self._reader.fault(
                cell.place, f'expected text in column "{self._taken[field]}", found {cell.kind}. Correct it.'
            )
        elif needed and value is None:
            self._reader.fault(row.place, f'expected text in column "{self._taken[field]}", found none. Fill it.')
        return value

    def _value(self, row: Node, field: str) -> str | None:
        """The text of a cell, composed and stripped; `None` where the cell is missing or holds no text."""
        cell = _entries(row).get(self._taken.get(field, ""))
        value = None if cell is None else cell.value
        if isinstance(value, float):
            # A column of whole numbers that has a gap is read as a column of floats.
            value = None if not math.isfinite(value) else int(value) if value.is_integer() else value
        if value is None or isinstance(value, (bool, list, dict)):
            return None
        text = normal(str(value))
        return None if text in MISSING else text

    def _is_control(self, row: Node) -> bool:
        cell = _entries(row).get(self._taken.get("control", ""))
        value = None if cell is None else cell.value
        if value is None or isinstance(value, bool):
            return bool(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        self._reader.fault(row.place, f'expected true or false in column "{self._taken["control"]}", found {value}.')
        return False


def _columns(names: list[str], wanted: Mapping[str, str] | None, reader: Reader, place: Place) -> dict[str, str]:
    """The table's column for each of our fields: the one that the caller named, or else one of the usual names."""
    taken: dict[str, str] = {}
    for field, column in (wanted or {}).items():
        if field not in USUAL_COLUMNS:
            known = ", ".join(USUAL_COLUMNS)
            reader.fault(place, f'expected a field among {known}, found "{field}" in the column mapping. Correct it.')
        elif column not in names:
            reader.fault(
                place, f'expected a column "{column}" (for "{field}"), found {", ".join(names)}. Name another.'
            )
        else:
            taken[field] = column
    for field, usual in USUAL_COLUMNS.items():
        if field not in (wanted or {}):
            found = next((name for name in usual if name in names), None)
            if found is not None and found not in taken.values():
                taken[field] = found
    return taken


def _entries(row: Node) -> Mapping[str, Node]:
    return row.value if isinstance(row.value, dict) else {}


def _plain(value: object) -> Value:
    """The value of a data set's cell; images, lists and structures hold no wording, so they count as missing."""
    return value if isinstance(value, (str, int, float, bool)) else None
