"""Values that remember where they were written, so that every complaint names file and line."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

Value: TypeAlias = "str | int | float | bool | dict[str, Node] | list[Node] | None"


class Place(NamedTuple):
    """Where something was written.

    Attributes:
        file: The file's name as the user would write it.
        line: The line, counted from 1, or the row of a data set; `None` stands for the file as a whole.
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Fault(NamedTuple):
    """One reason why a document cannot be used."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Unreadable(Exception):
    """A source that cannot be read as a document; `fault` says why."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.fault = Fault(place, message)


class Node(NamedTuple):
    """A value of a YAML or JSON document; in a mapping, its place is the line of its key.

    Attributes:
        value: Plain data, with nodes inside.
        place: Where it was written.
        is_blank: Whether nothing is written there; a null that is written out is `None`, too, but not blank.
    """

    value: Value
    place: Place
    is_blank: bool = False

    @property
    def kind(self) -> str:
        """What the value is, in words that a person who writes YAML uses."""
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return "true/false"
        if isinstance(self.value, (int, float)):
            return f"the number {self.value}"
        return {str: "text", dict: "a mapping", list: "a list"}[type(self.value)]


class Reader:
    """Reads typed values out of nodes, and collects all that is wrong with them instead of stopping at the first."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, place: Place, message: str) -> None:
        """Note one fault."""
        self.faults.append(Fault(place, message))

    def mapping(self, node: Node, what: str, known: Sequence[str]) -> Mapping[str, Node]:
        """The entries of a mapping; unknown keys are faults, with the nearest known key as a hint."""
        if not isinstance(node.value, dict):
            self.fault(node.place, f"expected {what} as a mapping with {_listed(known)}, found {node.kind}.")
            return {}
        if not node.value:
            self.fault(node.place, f"expected {what} as a mapping with {_listed(known)}, found an empty one. Fill it.")
        for key, entry in node.value.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                do = f'Did you mean "{close[0]}"?' if close else "Remove it."
                self.fault(entry.place, f'expected only {_listed(known)} in {what}, found "{key}". {do}')
        return node.value

    def text(
        self,
        entries: Mapping[str, Node],
        key: str,
        what: str,
        place: Place,
        *,
        needed: bool = True,
        pattern: re.Pattern[str] | None = None,
        form: str = "",
    ) -> str | None:
        """A non-empty text, stripped; `None` if it is missing (a fault if it is needed) or wrong (a fault)."""
        node = entries.get(key)
        if node is None:
            if needed:
                self.fault(place, f'expected "{key}" in {what}, found none. Add {form or "it"}.')
            return None
        found = self.string(node, f'"{key}" of {what}')
        if found is not None and pattern is not None and not pattern.fullmatch(found):
            self.fault(node.place, f'expected {form} as "{key}" of {what}, found "{found}". Rename it.')
            return None
        return found

    def string(self, node: Node, what: str) -> str | None:
        """A non-empty text, stripped; anything else is a fault and `None`."""
        if not isinstance(node.value, str):
            do = "Write it." if node.value is None else "Put it in quotes if text is meant."
            self.fault(node.place, f"expected text for {what}, found {node.kind}. {do}")
            return None
        if not node.value.strip():
            self.fault(node.place, f"expected text for {what}, found an empty one. Write it or remove the key.")
            return None
        return node.value.strip()

    def flag(self, entries: Mapping[str, Node], key: str, what: str) -> bool:
        """True or false; false if it is missing."""
        node = entries.get(key)
        if node is None:
            return False
        if not isinstance(node.value, bool):
            self.fault(
                node.place, f'expected true or false as "{key}" of {what}, found {node.kind}. Write true or false.'
            )
            return False
        return node.value

    def sequence(self, node: Node, what: str) -> list[Node]:
        """The entries of a list; an empty list is a fault."""
        if not isinstance(node.value, list):
            self.fault(node.place, f'expected a list as {what}, found {node.kind}. Begin each entry with "- ".')
            return []
        if not node.value:
            self.fault(node.place, f"expected at least one entry in {what}, found none. Add one or remove it.")
        return node.value

    def pair(self, node: Node, what: str, each: str) -> tuple[str, str] | None:
        """Two different non-empty texts; `None`, and a fault, if it is anything else."""
        if not isinstance(node.value, list):
            self.fault(node.place, f"expected a list of two {each}s as {what}, found {node.kind}. List both.")
            return None
        if len(node.value) != 2:
            found = {0: f"no {each}", 1: f"one {each}"}.get(len(node.value), f"{len(node.value)} {each}s")
            do = f"Add the other {each}." if len(node.value) == 1 else f"Leave two {each}s."
            self.fault(node.place, f"expected two opposed {each}s as {what}, found {found}. {do}")
            return None
        first, second = (self.string(entry, f"{each} {n} of {what}") for n, entry in enumerate(node.value, 1))
        if first is None or second is None:
            return None
        if plain(first) == plain(second):
            self.fault(node.place, f"expected two opposed {each}s as {what}, found the same twice. Change one.")
            return None
        return first, second


JOINERS = "\u200c\u200d"  # zero-width characters of Persian, Indic scripts and emoji; part of how a word is written


def plain(text: str) -> str:
    """A text without case, punctuation and spacing, to compare two wordings.

    >>> plain("Tea,  please!") == plain("tea please")
    True
    """
    composed = unicodedata.normalize("NFC", text.casefold())
    # Vowel signs and tone marks belong to their word, as joiners do; Python's \\w counts neither.
    kept = ("" if c in JOINERS else c if unicodedata.category(c)[0] in "LMN" else " " for c in composed)
    return " ".join("".join(kept).split())


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
