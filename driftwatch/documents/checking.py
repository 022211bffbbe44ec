"""A constructor checks its arguments by its own annotations, and refuses all that is wrong at once.

The bounds and the sentences about them are those of the settings file (`limits.py`). An object is accepted if the
annotation names its class, or stands for a kind of plugin.
"""

import functools
import inspect
import numbers
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, get_args, get_origin

from driftwatch import plugins
from driftwatch.documents import limits
from driftwatch.documents.annotations import (
    Parameter,
    Schema,
    bare,
    is_mapping,
    is_path,
    is_sequence,
    kind_of,
    members,
    parameters,
    section_of,
    words_of,
)
from driftwatch.errors import ConfigError, DriftwatchError, PluginError

P = ParamSpec("P")
T = TypeVar("T")

_MAX_SHOWN = 80  # characters of a wrong value that a message shows
_PLAIN: dict[Any, str] = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean"}
_WORDS = {**limits.WORDS, "boolean": "True or False", "string": "text"}
_DATA = (bool, numbers.Number, str, bytes, Mapping, list, tuple, set, frozenset)


class Wrong(NamedTuple):
    """One setting that cannot work.

    Attributes:
        key: The keys that lead to it, outermost first.
        error: The error to raise about it.
    """

    key: tuple[str | int, ...]
    error: DriftwatchError


def refuse(wrong: Sequence[Wrong]) -> None:
    """Raise one error with every sentence, in the class of the first; do nothing if nothing is wrong."""
    if wrong:
        first = wrong[0].error
        raise type(first)("\n".join(dict.fromkeys(str(one.error) for one in wrong))) from first


def check(made: object) -> None:
    """Check an object's attributes by the annotations of its constructor; for `__post_init__`.

    Raises:
        ConfigError, PluginError: Some are wrong. The message says what was expected, what was found and what to write
            instead, for each of them.
    """
    kind: Callable[..., Any] = type(made)
    refuse(wrong_in(kind, {name: getattr(made, name) for name, *_ in _checks(kind)}))


def checked(init: Callable[P, T]) -> Callable[P, T]:
    """A constructor that checks its arguments by their annotations before it does anything else."""

    @functools.wraps(init)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            given = inspect.signature(init).bind(*args, **kwargs).arguments
        except TypeError:  # too many arguments or too few; the call itself raises a better error
            return init(*args, **kwargs)
        refuse(wrong_in(init, given))
        return init(*args, **kwargs)

    return call


def wrong_in(made: Callable[..., Any], values: Mapping[str, Any]) -> list[Wrong]:
    """What is wrong with some arguments of a constructor.

    Args:
        made: A class, or its `__init__`.
        values: The arguments to check, by name; it need not be all that the constructor takes.
    """
    found = []
    for name, annotation, said in _checks(made):
        if name in values:
            found += [Wrong((name, *key), error) for key, error in _wrong(annotation, said, values[name], name)]
    return found


@functools.cache
def _checks(made: Callable[..., Any]) -> tuple[tuple[str, Any, Schema], ...]:
    """Name, type and bounds of each argument that can be checked."""
    return tuple((p.name, p.annotation, _with_default(p)) for p in parameters(made) if _is_known(p.annotation))


def _with_default(parameter: Parameter) -> Schema:
    default = parameter.default
    return {**parameter.said, "default": default} if isinstance(default, (str, int, float, tuple)) else parameter.said


def _is_known(annotation: Any) -> bool:
    """Whether this module can check such a type; it cannot check, for example, a callable or another package's type."""

    def known(member: Any) -> bool:
        if member in _PLAIN or member is type(None) or kind_of(member) or words_of(member):
            return True
        if is_sequence(member) or is_mapping(member):
            return all(inner is Ellipsis or _is_known(bare(inner)[0]) for inner in get_args(member))
        return isinstance(member, type) and get_origin(member) is None and member.__module__.startswith("driftwatch.")

    return all(known(bare(member)[0]) for member in members(annotation))


def _wrong(annotation: Any, said: Schema, value: Any, name: str, what: str = "") -> Iterator[Wrong]:
    """What is wrong with one value, each with the keys that lead to it inside the value."""
    what = what or f'"{name}"'
    options = [bare(member) for member in members(annotation)]
    if value is None and any(option is type(None) for option, _ in options):
        return
    if any(_is_object_of(option, value) for option, _ in options):
        return
    for option, inner in options:
        if is_sequence(option) and isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping)):
            yield from _wrong_entries(option, {**said, **inner}, list(value), name, what)
            return
        if is_mapping(option) and isinstance(value, Mapping):
            of, limit = bare(get_args(option)[1])
            for key, entry in value.items():
                yield from (Wrong((key, *w.key), w.error) for w in _wrong(of, limit, entry, name, f'"{key}" of {what}'))
            return
    if kind := next((kind for option, _ in options if (kind := kind_of(option))), None):
        yield from _wrong_name(kind, value, what)
        return
    if value in words_of(annotation) and not isinstance(value, bool):
        return
    for option, inner in options:
        if (plain := _PLAIN.get(option)) is not None and _fits(value, plain):
            yield from _out_of_bounds({**said, **inner}, plain, value, what, options)
            return
    yield _complaint(_expected(annotation, options), what, value, _instead(annotation, said, value, name))


def _wrong_entries(option: Any, said: Schema, entries: Sequence[Any], name: str, what: str) -> Iterator[Wrong]:
    inner = get_args(option)
    if len(inner) > 1 and inner[-1] is not Ellipsis:
        said = {**said, "minItems": len(inner), "maxItems": len(inner)}
    if (expected := limits.sized(len(entries), said)) is not None:
        found = "none" if not entries else str(len(entries))
        yield Wrong((), ConfigError(f"expected {expected} in {what}, found {found}. {limits.advice(said)}"))
        return
    annotation, limit = bare(inner[0])
    for n, entry in enumerate(entries):
        for w in _wrong(annotation, limit, entry, name, f"entry {n + 1} of {what}"):
            yield Wrong((n, *w.key), w.error)


def _wrong_name(kind: plugins.Kind, value: Any, what: str) -> Iterator[Wrong]:
    """What is wrong with a plugin, which is given by name or as an object."""
    if isinstance(value, str):
        name = value.partition(":")[0] if kind == "judges" else value
        if (sentence := plugins.unknown(kind, name)) is not None:
            yield Wrong((), PluginError(sentence))
    elif isinstance(value, type):
        do = f"Write {value.__name__}(…)."
        yield Wrong((), ConfigError(f"expected a name or an object as {what}, found the class {value.__name__}. {do}"))
    elif value is None or isinstance(value, _DATA):
        yield _complaint("a name or an object", what, value, "Correct it.")


def _out_of_bounds(said: Schema, kind: str, value: Any, what: str, options: Sequence[Any]) -> Iterator[Wrong]:
    if not limits.keeps_to(value, said):
        null = "None" if any(option is type(None) for option, _ in options) else ""
        expected = limits.bounded(said, kind) + (f", or {null}" if null else "")
        yield _complaint(expected, what, value, limits.advice(said, null))


def _complaint(expected: str, what: str, value: Any, do: str) -> Wrong:
    return Wrong((), ConfigError(f"expected {expected} as {what}, found {_shown(value)}. {do}"))


def _is_object_of(option: Any, value: Any) -> bool:
    """Whether a value is an object of a class that the annotation names."""
    is_ours = isinstance(option, type) and option not in _PLAIN and get_origin(option) is None and not kind_of(option)
    return (is_ours and isinstance(value, option)) or (option is Path and isinstance(value, Path))


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of a plain kind; NumPy's numbers count as numbers."""
    is_flag = isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    if kind == "boolean" or is_flag:
        return is_flag and kind == "boolean"
    expected = {"integer": numbers.Integral, "number": numbers.Real, "string": str}
    return isinstance(value, expected[kind])


def _expected(annotation: Any, options: Sequence[tuple[Any, Schema]]) -> str:
    """What may be given, in the words of people who write Python."""
    if words := words_of(annotation):
        null = ["None"] if any(option is type(None) for option, _ in options) else []
        return f"one of {', '.join([*words, *null])}"
    found = []
    for option, _ in options:
        if option is type(None):
            found.append("None")
        elif is_sequence(option):
            named = kind_of(bare(get_args(option)[0])[0])
            found.append("a list of names or objects" if named else "a list")
        elif option in _PLAIN:
            found.append("a path" if is_path(annotation) and option in (str, Path) else _WORDS[_PLAIN[option]])
        else:
            found.append("a mapping" if is_mapping(option) else f"{option.__name__}(…)")
    return " or ".join(dict.fromkeys(found))


def _instead(annotation: Any, said: Schema, value: Any, name: str) -> str:
    if any(is_sequence(bare(member)[0]) for member in members(annotation)):
        return f"Write {name}={'[]' if value is None else f'[{value!r}]'}."
    examples = said.get("examples", ())
    if (section := section_of(annotation)) is not None and examples and isinstance(examples[0], dict):
        options = ", ".join(f'{key}="{v}"' if isinstance(v, str) else f"{key}={v}" for key, v in examples[0].items())
        return f"Write {name}={section.__name__}({options})."
    return limits.advice(said)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, type):
        text = f"the class {value.__name__}"
    else:
        text = repr(value) if isinstance(value, bool) or not isinstance(value, numbers.Real) else f"the number {value}"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
