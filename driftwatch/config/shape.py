"""What our constructors accept, read from the constructors: the settings file has no vocabulary of its own."""

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from driftwatch import plugins

REQUIRED: Any = inspect.Parameter.empty
# Protocols of what is made by name, by the name of their class: looking one up by itself would load torch.
KINDS: dict[str, plugins.Kind] = {"Probe": "probes", "Judge": "judges", "Exporter": "exporters", "Action": "actions"}
_ENTRY = re.compile(r"^(\w+): (.*)$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a constructor takes.

    Attributes:
        name: Its keyword.
        annotation: Its type, resolved; `Any` where none can be known.
        default: `REQUIRED` where there is none.
        text: What the docstring says about it; "" where it says nothing.
    """

    name: str
    annotation: Any
    default: Any
    text: str


def parameters(made: Callable[..., Any]) -> list[Parameter]:
    """What a class, a function or a partial of one of them takes by keyword, in its own order."""
    bound: Mapping[str, Any] = {}
    if isinstance(made, functools.partial):
        bound, made = made.keywords, made.func
    hints = _hints(made)
    texts = _documented(inspect.getdoc(made) or "")
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
        found.append(Parameter(name, hints.get(name, Any), default, texts.get(name, "")))
    return found


def takes_any_keyword(made: Callable[..., Any]) -> bool:
    """Whether it takes keywords that it does not name."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(made).parameters.values())


def kind_of(annotation: Any) -> plugins.Kind | None:
    """Which kind of thing, made by name, this type stands for."""
    return next((KINDS[name] for a in members(annotation) if (name := getattr(a, "__name__", "")) in KINDS), None)


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def is_sequence(annotation: Any) -> bool:
    """Whether it is a list or tuple of things."""
    return get_origin(annotation) in (tuple, list, Sequence)


def is_mapping(annotation: Any) -> bool:
    """Whether it is a mapping of names to things."""
    return get_origin(annotation) in (dict, Mapping)


def is_literal(annotation: Any) -> bool:
    """Whether it is one of some words."""
    return get_origin(annotation) is Literal


def is_path(annotation: Any) -> bool:
    """Whether it may name a file or folder."""
    return Path in members(annotation)


def section_of(annotation: Any) -> type | None:
    """The dataclass that a section of the file becomes."""
    return next((a for a in members(annotation) if isinstance(a, type) and is_dataclass(a)), None)


def _hints(made: Callable[..., Any]) -> dict[str, Any]:
    target = made.__init__ if isinstance(made, type) and not is_dataclass(made) else made  # type: ignore[misc] # read only
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError):  # another's package, with types that only its checker sees
        return {}


def _documented(text: str) -> dict[str, str]:
    r"""The entries of a Google docstring's Args or Attributes.

    >>> _documented("Do it.\n\nArgs:\n    a: First,\n        goes on.\n    b: Last.\n\nRaises:\n    E: Never.")
    {'a': 'First, goes on.', 'b': 'Last.'}
    """
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in text.splitlines():
        if line.strip() and not line.startswith(" "):
            inside = line.strip() in ("Args:", "Attributes:")
        elif inside and line.strip():
            entry = _ENTRY.match(line.strip()) if line[:4].isspace() and not line[4:5].isspace() else None
            if entry:
                name = entry[1]
                found[name] = entry[2]
            elif name:
                found[name] += f" {line.strip()}"
    return found
