"""load_pack: makes a TopicPack of a name, a file, a folder or a data set."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path

from driftwatch import plugins
from driftwatch.documents.files import MAX_BYTES, read_json, read_text, read_yaml, shown
from driftwatch.documents.node import Node, Place, Reader, Unreadable
from driftwatch.errors import PackError, PluginError
from driftwatch.topics import names, packs, table
from driftwatch.topics.combine import combined
from driftwatch.topics.parse import PACK_ID, Draft, Files, PackParser
from driftwatch.topics.topic import TopicPack

_READERS: dict[str, Callable[[str, str], Node]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
    ".jsonl": table.jsonl_rows,
    ".csv": table.csv_rows,
}
YAML_SUFFIXES = (".yaml", ".yml")
MAX_SUBSET_DEPTH = 4  # a subset of a subset is reasonable, but a longer chain counts as a circle


def load_pack(
    source: str | Path, *, columns: Mapping[str, str] | None = None, split: str = "train", max_bytes: int = MAX_BYTES
) -> TopicPack:
    """The topic pack of this name, file, folder or data set.

    Args:
        source: The name of a built-in or installed pack ("core"), or several joined ("core+refusal"); a YAML file; a
            folder with `pack.yaml`; a JSON, JSONL or CSV file of items; a folder that `datasets` saved; or, with
            `columns`, a data set on the hub.
        columns: For tables, the column that holds each of our fields (`id`, `topic`, `question`, `side_0`, `side_1`,
            `pole_0`, `pole_1`, `control`). For fields that are left out, columns of the same name and a few usual
            names are taken.
        split: For data sets, the split to read.
        max_bytes: Size of the largest file that is read, in bytes.

    Raises:
        PackError: There is nothing at `source`, or not a usable pack; the message names file and line, and says what to
            do.
    """
    return whole(read_pack(source, columns=columns, split=split, max_bytes=max_bytes), str(source))


def whole(draft: Draft, source: str) -> TopicPack:
    """The pack of a draft that has no faults.

    Raises:
        PackError: There are faults, of which the message names the first, or there is nothing to ask.
    """
    if draft.faults:
        more = len(draft.faults) - 1
        others = f' (and {more} more; "driftwatch packs check" lists them all)' if more else ""
        raise PackError(f"{draft.faults[0]}{others}")
    if draft.pack is None:
        raise PackError(f"{source}: expected at least one topic with an item, found none. Add one.")
    return draft.pack


def read_pack(
    source: str | Path, *, columns: Mapping[str, str] | None = None, split: str = "train", max_bytes: int = MAX_BYTES
) -> Draft:
    """Like `load_pack`, but with every fault listed instead of raised, and with the line of every item.

    Raises:
        PackError: There is nothing to read at `source`.
    """
    return _Source(columns, split, max_bytes).read(source)


def pack_names() -> list[str]:
    """Names of the built-in and installed packs, sorted."""
    return sorted({*packs.BUILT_IN, *plugins.names("packs")})


class _Source:
    """Finds out what a source is and reads it."""

    def __init__(self, columns: Mapping[str, str] | None, split: str, max_bytes: int, depth: int = 0) -> None:
        self._columns, self._split, self._max_bytes, self._depth = columns, split, max_bytes, depth

    def read(self, source: str | Path) -> Draft:
        if isinstance(source, str) and PACK_ID.fullmatch(source):
            found = _named(source)
            if isinstance(found, TopicPack):
                return Draft(found, ())
            if found is not None:
                return self._path(found)
        path = Path(source)
        if path.exists():
            return self._path(path)
        if isinstance(source, str) and "+" in source:
            return combined([self.read(name.strip()) for name in source.split("+")])
        if self._columns is not None and not path.suffix:
            return self._data_set(str(source))
        raise PackError(_nothing_at(str(source)))

    def _path(self, path: Path) -> Draft:
        if path.is_dir():
            if (path / "pack.yaml").exists():
                return self._document(path / "pack.yaml", path.name)
            if any((path / name).exists() for name in ("dataset_info.json", "dataset_dict.json", "state.json")):
                return self._data_set(str(path))
            raise PackError(f"{path}: expected a folder with pack.yaml, found none in it. Add one, or name a file.")
        if path.suffix in _READERS:
            return self._document(path, path.stem)
        raise PackError(
            f'{path}: expected a file that ends in one of {", ".join(_READERS)}, found "{path.suffix}". Rename it.'
        )

    def _document(self, path: Path, fallback_id: str) -> Draft:
        reader = Reader()
        try:
            root = _READERS[path.suffix](read_text(path, self._max_bytes), shown(path))
        except Unreadable as err:
            return Draft(None, (err.fault,))
        if isinstance(root.value, list) and path.suffix not in YAML_SUFFIXES:
            return table.draft(root, reader, self._columns, _as_id(fallback_id))
        if self._columns is not None:
            reader.fault(root.place, "expected a table to map columns of, found a pack. Leave the columns out.")
        return PackParser(reader, self._files(path.parent, reader)).draft(root, _as_id(fallback_id))

    def _files(self, folder: Path, reader: Reader) -> Files:
        def topic(name: str, place: Place) -> Node | None:
            path = folder / name
            inside = path.resolve().is_relative_to(folder.resolve())
            if not inside or path.suffix not in YAML_SUFFIXES or not path.is_file():
                message = f'expected a topic or the name of a YAML file in this folder, found "{name}". Correct it.'
                reader.fault(place, message)
                return None
            try:
                return read_yaml(read_text(path, self._max_bytes), shown(path))
            except Unreadable as err:
                reader.faults.append(err.fault)
                return None

        def parent(name: str, place: Place) -> Draft:
            if self._depth == MAX_SUBSET_DEPTH:
                reader.fault(place, f'expected a pack with topics at the end, found a circle at "{name}". Break it.')
                return Draft(None, ())
            source: str | Path = name if PACK_ID.fullmatch(name) else folder / name
            try:
                return _Source(None, self._split, self._max_bytes, self._depth + 1).read(source)
            except PackError as err:
                reader.fault(place, str(err))
                return Draft(None, ())

        return Files(topic, parent)

    def _data_set(self, name: str) -> Draft:
        try:
            root = table.data_set_rows(name, self._split)
        except Unreadable as err:
            return Draft(None, (err.fault,))
        return table.draft(root, Reader(), self._columns, _as_id(name))


def _named(name: str) -> TopicPack | Path | None:
    """The built-in or installed pack of this name, as a path or a pack; `None` where there is none.

    The entry point of an installed pack names a path, a pack, or a function that returns one of them.
    """
    if name in packs.BUILT_IN:
        return packs.BUILT_IN[name]
    if name not in plugins.names("packs"):
        return None
    found = plugins.load("packs", name)
    found = found() if callable(found) else found
    if isinstance(found, (str, Path)):
        return Path(found)
    if isinstance(found, TopicPack):
        return found
    raise PluginError(f'pack "{name}": expected a path or a TopicPack, found {type(found).__name__}. Tell its author.')


def _nothing_at(source: str) -> str:
    close = difflib.get_close_matches(source, pack_names(), n=1)
    from_hub = "A data set on the hub is loaded in Python: load_pack(NAME, columns={…})."
    do = f'Did you mean "{close[0]}"?' if close else from_hub if "/" in source else "Correct it."
    return f'expected a pack\'s name ({", ".join(pack_names())}), a file or a folder, found nothing at "{source}". {do}'


def _as_id(name: str) -> str:
    return names.slugs([name])[names.normal(name)].replace("_", "-")[:48]
