"""What constructors say about their settings: names, types, bounds and texts, read from their annotations.

::

    alpha: Annotated[float, Meta(gt=0, lt=1, title="a probability", description="…")] = 0.01

A constructor's refusals, the settings file, its schema and its page of documentation all come from such a line. The
constructors of other packages are read in the same way; without `Meta`, their types and defaults are still known.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta

from driftwatch import plugins

REQUIRED: Any = inspect.Parameter.empty
Schema = dict[str, Any]
# The kind of plugin that each protocol stands for, by the protocol's name: importing the protocols would load torch.
KINDS: dict[str, plugins.Kind] = {"Probe": "probes", "Judge": "judges", "Exporter": "exporters", "Action": "actions"}
# JSON Schema's words for what `Meta` says.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_SIZES = {"min_length": "minItems", "max_length": "maxItems"}
_TEXTS = ("title", "description", "examples", "pattern")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a constructor.

    Attributes:
        name: Its keyword.
        annotation: Its resolved type, without its `Meta`; `Any` if the type cannot be known.
        default: Its default; `REQUIRED` if it has none.
        said: What its `Meta` says, in the words of JSON Schema.
    """

    name: str
    annotation: Any
    default: Any
    said: Schema


def parameters(made: Callable[..., Any]) -> list[Parameter]:
    """What a class, a function or a partial of one takes by keyword, in the order of its signature."""
    bound: Mapping[str, Any] = {}
    if isinstance(made, functools.partial):
        bound, made = made.keywords, made.func
    hints = _hints(made)
    factories = {f.name: f.default_factory for f in fields(made)} if is_dataclass(made) else {}
    found = []
    for name, parameter in inspect.signature(made).parameters.items():
        if name in bound or parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        default = parameter.default
        if (factory := factories.get(name, MISSING)) is not MISSING:
            default = factory()
        annotation, said = bare(hints.get(name, Any))
        found.append(Parameter(name, annotation, default, said))
    return found


def takes_any_keyword(made: Callable[..., Any]) -> bool:
    """Whether it takes keywords that it does not name."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(made).parameters.values())


def bare(annotation: Any) -> tuple[Any, Schema]:
    """A type without its `Meta`, and what the `Meta` says, in the words of JSON Schema.

    >>> bare(Annotated[int, Meta(ge=1, description="How many.")])
    (<class 'int'>, {'description': 'How many.', 'minimum': 1})
    """
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    inner, *notes = get_args(annotation)
    said: Schema = {}
    for meta in (note for note in notes if isinstance(note, Meta)):
        words = {**{text: text for text in _TEXTS}, **_BOUNDS, **_SIZES}
        said |= {word: value for name, word in words.items() if (value := getattr(meta, name)) is not None}
    return inner, said


def kind_of(annotation: Any) -> plugins.Kind | None:
    """The kind of plugin that this type stands for; `None` if it stands for none."""
    return next((KINDS[name] for a in members(annotation) if (name := getattr(a, "__name__", "")) in KINDS), None)


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def is_sequence(annotation: Any) -> bool:
    """Whether it is a list, tuple or other sequence."""
    return get_origin(annotation) in (tuple, list, Sequence)


def is_mapping(annotation: Any) -> bool:
    """Whether it is a mapping."""
    return get_origin(annotation) in (dict, Mapping)


def words_of(annotation: Any) -> tuple[str, ...]:
    """The words that a `Literal` allows; empty if the type has no `Literal`."""
    return next((get_args(member) for member in members(annotation) if get_origin(member) is Literal), ())


def is_path(annotation: Any) -> bool:
    """Whether it may name a file or folder."""
    return Path in members(annotation)


def section_of(annotation: Any) -> type | None:
    """The dataclass that a section of the settings file becomes; `None` if there is none, or a path may be given."""
    if is_path(annotation):
        return None
    return next((a for a in members(annotation) if isinstance(a, type) and is_dataclass(a)), None)


def _hints(made: Callable[..., Any]) -> dict[str, Any]:
    target: Any = made
    if isinstance(made, type) and not is_dataclass(made) and not hasattr(made, "__struct_fields__"):
        target = made.__init__  # type: ignore[misc] # read only
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError):  # another package, with types that only its type checker sees
        return {}
