"""Lookup by name: one mechanism, entry points, for probes, judges, exporters, actions and packs."""

import difflib
from importlib.metadata import entry_points
from typing import Any, Literal

from driftwatch.errors import PluginError

Kind = Literal["probes", "judges", "exporters", "actions", "packs"]


def names(kind: Kind) -> list[str]:
    """The installed names of one kind, sorted."""
    return sorted({point.name for point in entry_points(group=f"driftwatch.{kind}")})


def load(kind: Kind, name: str) -> Any:
    """What an installed package registered under `name`; for a built-in, our own class.

    Raises:
        PluginError: There is no such name, or its module cannot be imported.
    """
    for point in entry_points(group=f"driftwatch.{kind}"):
        if point.name == name:
            try:
                return point.load()
            except ImportError as err:
                raise PluginError(
                    f'{kind[:-1]} "{name}" needs a package that is not installed ({err}). '
                    f'Install the extra it belongs to, for example: pip install "driftwatch-trl[train]".'
                ) from err
    raise PluginError(unknown(kind, name) or f'the {kind[:-1]} "{name}" is installed and cannot be found.')


def unknown(kind: Kind, name: str) -> str | None:
    """The message about a name that no installed package registered; `None` if one did. Nothing is loaded."""
    installed = names(kind)
    if name in installed:
        return None
    close = difflib.get_close_matches(name, installed, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'no {kind[:-1]} named "{name}"; installed {kind}: {", ".join(installed) or "none"}.{hint}'


def made(kind: Kind, given: Any) -> Any:
    """`given` itself if it is an object; if it is a name, a new object of the class registered under it."""
    return load(kind, given)() if isinstance(given, str) else given
