"""Reads a settings file into plain values and checks them against the shipped schema, without loading torch.

Every fault names file and line, and all of them are collected. Types and bounds are those of the annotations, from
which the schema is made; `checking.py` checks what no single key can say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftwatch import plugins
from driftwatch.config.schema import SECRETS, resolved, shipped
from driftwatch.documents import limits
from driftwatch.documents.annotations import Schema
from driftwatch.documents.files import read_text, read_yaml, shown
from driftwatch.documents.node import Fault, Node, Place, Reader, Unreadable
from driftwatch.errors import ConfigError
from driftwatch.topics.loader import pack_names

MAX_BYTES = 1 << 20  # bytes; a settings file fills a page, and a larger file is something else
Key = tuple[str | int, ...]


class _Wrong:
    """The type of `WRONG`, which stands for a value with a fault."""


WRONG: Any = _Wrong()


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in a file; keys that it leaves out have the defaults of the code.

    Attributes:
        file: The file as the user would name it; "" where there is none.
        values: Plain values by key, relative paths resolved against the file's folder.
        places: Place of each value in the file, by its keys from the outside in.
    """

    file: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)

    def place(self, *key: str | int) -> Place:
        """The place of a value in the file, or else that of the section around it."""
        for end in range(len(key), 0, -1):
            if (found := self.places.get(key[:end])) is not None:
                return found
        return Place(self.file or "driftwatch")


def read_form(path: str | Path | None) -> tuple[Config, list[Fault]]:
    """A file's settings, with the faults of single ones; `None` gives the settings of an empty file.

    Returns:
        The settings without the wrong ones (in a list, `WRONG` takes their place), and one fault for each of these.

    Raises:
        ConfigError: There is no such file.
    """
    if path is None:
        return Config(), []
    file = Path(path)
    try:
        root = _document(file)
    except Unreadable as err:
        return Config(shown(file)), [err.fault]
    if root is None:
        return Config(shown(file)), []
    walk = _Walk(file.absolute().parent)
    values = walk.value(root, shipped(), (), "the settings")
    return Config(shown(file), {} if values is WRONG else values, walk.places), walk.reader.faults


def _document(file: Path) -> Node | None:
    place = Place(shown(file))
    if not file.is_file():
        raise ConfigError(f"{place}: expected a settings file, found none. Check the path.")
    if file.stat().st_size > MAX_BYTES:
        raise Unreadable(place, f"expected settings of at most {MAX_BYTES} bytes, found more. Is it another file?")
    text = read_text(file, MAX_BYTES)
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    return read_yaml(text, shown(file))


class _Walk:
    """Reads nodes by a schema; a wrong value becomes a fault and is left out."""

    def __init__(self, folder: Path) -> None:
        self.reader = Reader()
        self.places: dict[Key, Place] = {}
        self._folder = folder

    def value(self, node: Node, schema: Schema, key: Key, what: str) -> Any:
        """The plain value of a node; `WRONG` where it has a fault."""
        schema = resolved(schema)
        self.places[key] = node.place
        if node.is_blank and key:
            self._blank(node, schema, what)
            return WRONG
        if "enum" in schema:
            return self._word(node, schema["enum"], what)
        alternatives = [resolved(alternative) for alternative in schema.get("anyOf", [schema])]
        fitting = next((a for a in alternatives if any(_fits(node.value, t) for t in _types(a))), None)
        if fitting is None:
            expected, found = _expected(schema), _found(node)
            advice = _listed(node) if limits.WORDS["array"] in expected else _advice(node)
            self.reader.fault(node.place, f"expected {expected} as {what}, found {found}. {advice}")
            return WRONG
        said = {**schema, **fitting}
        if isinstance(node.value, (str, int, float)) and node.value != "" and not limits.keeps_to(node.value, said):
            return self._out_of_bounds(node, said, schema, what)
        if kind := schema.get("x-kind"):
            return self._named(node, kind, fitting, key, what)
        if isinstance(node.value, dict):
            return self._section(node, fitting, key, what)
        if isinstance(node.value, list):
            return self._list(node.value, node.place, said, key, what)
        if isinstance(node.value, str):
            text = self.reader.string(node, what)
            return WRONG if text is None else self._path(text, key) if fitting.get("format") == "path" else text
        return node.value

    def _out_of_bounds(self, node: Node, said: Schema, schema: Schema, what: str) -> Any:
        null = "null" if "null" in _expected(schema) else ""
        kind = next(kind for kind in _types(said) if _fits(node.value, kind))
        expected = limits.bounded(said, kind) + (f", or {null}" if null else "")
        advice = limits.advice(said, null)
        self.reader.fault(node.place, f"expected {expected} as {what}, found {_found(node)}. {advice}")
        return WRONG

    def _blank(self, node: Node, schema: Schema, what: str) -> None:
        """The fault of a key with nothing behind its colon: the value may be commented out, and null may mean "off"."""
        expected = f"expected {_expected(schema)} as {what}, found nothing."
        examples = schema.get("examples", ())
        example = f", for example {what[1:-1]}: {_as_yaml(examples[0])}" if _is_section(schema) and examples else ""
        null = ", or null for none" if "null" in expected else ""
        self.reader.fault(node.place, f"{expected} Write it{example}{null}, or remove the key.")

    def _section(self, node: Node, schema: Schema, key: Key, what: str) -> Any:
        assert isinstance(node.value, dict)
        known, free = schema.get("properties", {}), schema.get("additionalProperties")
        entries = node.value
        if not free:
            secret = {n: variable for n in entries if (variable := SECRETS.get((str(key[-1]), n) if key else ("", n)))}
            for name, variable in secret.items():
                advice = f"Secrets do not belong in this file; set {variable} in the environment."
                self.reader.fault(entries[name].place, f'expected no "{name}" in {what}. {advice}')
            entries = {name: entry for name, entry in entries.items() if name not in secret}
            if entries:
                self.reader.mapping(Node(entries, node.place), what, list(known))
        missing = [name for name in schema.get("required", ()) if name not in entries]
        for name in missing:
            self.reader.fault(node.place, f'expected "{name}" in {what}, found none. Add it.')
        found: Any = {}
        for name, entry in entries.items():
            inner = known.get(name) or (free if isinstance(free, dict) else None)
            if inner is not None:
                whose = f'"{name}"' if name in known else f'"{name}" of {what}'
                value = self.value(entry, inner, (*key, name), whose)
                if value is not WRONG:
                    found[name] = value
                elif name in schema.get("required", ()):
                    missing.append(name)
            elif free:
                inner_key = (*key, name)
                self.places[inner_key] = entry.place
                found[name] = _plain(entry)
        return WRONG if missing else found

    def _list(self, nodes: list[Node], place: Place, schema: Schema, key: Key, what: str) -> Any:
        if (expected := limits.sized(len(nodes), schema)) is not None:
            advice = limits.advice(schema)
            self.reader.fault(place, f"expected {expected} in {what}, found {len(nodes) or 'none'}. {advice}")
            return WRONG
        return [
            self.value(entry, schema["items"], (*key, n), f"entry {n + 1} of {what}") for n, entry in enumerate(nodes)
        ]

    def _named(self, node: Node, kind: plugins.Kind, schema: Schema, key: Key, what: str) -> Any:
        """The value of a node that is a name, or one name with its options."""
        if isinstance(node.value, str):
            text = self.reader.string(node, what)
            if text is not None:
                is_known = self._check_name(kind, text.partition(":")[0] if kind == "judges" else text, node.place)
                return text if is_known else WRONG
            return WRONG
        assert isinstance(node.value, dict)
        if len(node.value) != 1:
            found = ", ".join(node.value) or "none"
            self.reader.fault(node.place, f"expected one name with its options as {what}, found {found}. Write one.")
            return WRONG
        name, options = next(iter(node.value.items()))
        if not self._check_name(kind, name, options.place):
            return WRONG
        if options.value is None:
            return name
        known = schema["properties"].get(name, {"type": "object", "additionalProperties": True})
        found = self.value(options, known, (*key, name), f"the options of {name}")
        return WRONG if found is WRONG else {name: found}

    def _check_name(self, kind: plugins.Kind, name: str, place: Place) -> bool:
        if (sentence := plugins.unknown(kind, name)) is not None:
            self.reader.fault(place, sentence)
        return sentence is None

    def _word(self, node: Node, words: list[str | None], what: str) -> Any:
        if node.value in words and not isinstance(node.value, bool):
            return node.value
        expected = _expected({"enum": words})
        self.reader.fault(node.place, f"expected {expected} as {what}, found {_found(node)}. Correct it.")
        return WRONG

    def _path(self, text: str, key: Key) -> str:
        """The path made absolute from the file's folder; the name of a pack stays a name."""
        if key == ("pack",):
            return "+".join(self._pack(part.strip()) for part in text.split("+"))
        return str((self._folder / Path(text).expanduser()).resolve())

    def _pack(self, name: str) -> str:
        beside = self._folder / Path(name).expanduser()
        return str(beside.resolve()) if name not in pack_names() and beside.exists() else name


def _expected(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join("null" if word is None else word for word in schema["enum"])
    alternatives = [resolved(alternative) for alternative in schema.get("anyOf", [schema])]
    return " or ".join(dict.fromkeys(limits.WORDS[t] for a in alternatives for t in _types(a)))


def _types(schema: Schema) -> Iterator[str]:
    found = schema.get("type", "object")
    yield from [found] if isinstance(found, str) else found


def _is_section(schema: Schema) -> bool:
    return "object" in (kind for a in map(resolved, schema.get("anyOf", [schema])) for kind in _types(a))


def _as_yaml(example: Any) -> str:
    """An example as YAML in one line.

    >>> _as_yaml({"every_steps": 100})
    '{every_steps: 100}'
    """
    if isinstance(example, dict):
        return f"{{{', '.join(f'{key}: {_as_yaml(value)}' for key, value in example.items())}}}"
    return str(example)


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int):
        return kind in ("integer", "number")
    expected = {"number": float, "string": str, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, expected[kind]) if kind in expected else False


def _found(node: Node) -> str:
    return f'"{node.value}"' if isinstance(node.value, str) else node.kind


def _advice(node: Node) -> str:
    if isinstance(node.value, (int, float)):
        return "Put it in quotes if text is meant." if not isinstance(node.value, bool) else "Correct it."
    if node.value is None:
        return "Write it, or remove the key."
    if isinstance(node.value, str) and node.value[:1].isdigit():
        return "Write a number without quotes or exponent, for example 0.001."
    return "Correct it."


def _listed(node: Node) -> str:
    """A hint that says what to write where a list was expected."""
    if node.value is None or isinstance(node.value, (bool, dict)):
        return 'Begin each entry with "- ".'
    return f"Write [{node.value}]."


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(entry) for key, entry in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(entry) for entry in node.value]
    return node.value
