"""Finds everything wrong with a settings file at once: in single settings, in their combination, and in what they name.

Each fault says its file and line, what was expected, what was found, and what to do. Torch is loaded only if something
that the file names needs it.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from driftwatch import plugins
from driftwatch.config.building import SERVICE, Builder, Misfit
from driftwatch.config.reading import WRONG, Config, read_form
from driftwatch.config.resolved import check_environment
from driftwatch.documents.node import Fault, Place
from driftwatch.errors import ConfigError, DriftwatchError, PackError
from driftwatch.watch.settings import RunSettings


class Checked(NamedTuple):
    """The result of checking a settings file.

    Attributes:
        faults: The faults in the order of their lines.
        is_whole: Whether the objects that it names were made; `False` where the packages for training are missing.
    """

    faults: list[Fault]
    is_whole: bool


def load_config(path: str | Path | None) -> Config:
    """The settings in a file; `None` gives those of an empty one.

    Only single settings are checked here. Whether they fit together and name objects that can be made is checked when
    the objects are made, since Python code may replace some settings before.

    Raises:
        ConfigError: The file has a fault; the message names file and line of the first one, and says what to do.
    """
    config, faults = read_form(path)
    if faults:
        raise ConfigError(told(read_config(path)[1]))
    return config


def read_config(path: str | Path | None) -> tuple[Config, list[Fault]]:
    """The settings as `load_config` gives them, with a list of all faults, also of settings that do not fit together.

    Raises:
        ConfigError: There is no such file.
    """
    config, faults = read_form(path)
    misfits, _ = _misfits(config, Builder(config, makes=lambda kind, name: False))
    return config, _in_order([*faults, *misfits])


def check_config(path: str | Path | None) -> Checked:
    """Everything that is wrong with a file and the environment; the objects that it names are made and thrown away.

    Raises:
        ConfigError: There is no such file.
    """
    is_whole = find_spec("transformers") is not None
    config, faults = read_form(path)
    misfits, arguments = _misfits(config, Builder(config, makes=_is_tried if is_whole else lambda kind, name: False))
    faults += misfits
    if is_whole:
        faults += _of_baseline(config, arguments)
    try:
        check_environment()
    except ConfigError as err:
        faults.append(Fault(Place("environment"), str(err)))
    return Checked(_in_order(faults), is_whole)


def told(faults: Sequence[Fault]) -> str:
    """The first fault, and how many there are besides."""
    more = len(faults) - 1
    return f"{faults[0]}" + (f' (and {more} more; "driftwatch config check" lists them all)' if more else "")


def _is_tried(kind: plugins.Kind, name: str) -> bool:
    """Whether to make the object; the screen is not made, as its annotations say all and it would load torch."""
    return (kind, name) != ("probes", "statement")


def _misfits(config: Config, builder: Builder) -> tuple[list[Fault], dict[str, Any]]:
    """The settings that cannot be made or do not fit, and the arguments of a run as far as they are right."""
    values = {name: value for name, value in config.values.items() if name != SERVICE and value is not None}
    arguments = builder.arguments(RunSettings, values, ())
    builder.settle(arguments)
    return [_fault(misfit) for misfit in builder.misfits], arguments


def _of_baseline(config: Config, arguments: dict[str, Any]) -> list[Fault]:
    """The faults of a stored baseline that the settings name: it is missing, or it is of another pack."""
    from driftwatch.topics import load_pack
    from driftwatch.watch.baselines import baseline_for, load_baseline

    if (stored := arguments.get("baseline", WRONG)) is WRONG:
        return []
    try:
        pack = load_pack(arguments.get("pack", "core"))
    except PackError:  # listed as a fault already
        pack = None
    try:
        if pack is None:
            load_baseline(stored)
        else:
            baseline_for(pack, stored)
    except DriftwatchError as err:
        return [_fault(Misfit(config.place("baseline"), err))]
    return []


def _fault(misfit: Misfit) -> Fault:
    return Fault(misfit.place, str(misfit.error))


def _in_order(faults: Sequence[Fault]) -> list[Fault]:
    """The faults in the order of their lines, each once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.place.line or 0)
